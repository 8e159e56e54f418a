"""The REST client says what a response means, and nothing but the network can fail."""

from __future__ import annotations

import pytest

from orchlite.ray.jobs_api import PACKAGE_BYTES, JobsApi, NoResponse, Submission
from orchlite.runs.cluster import ClusterRefused, ClusterUnreachable
from tests.ray.fake_head import NODE, FakeHead, serving


def test_a_session_is_named_by_the_head(head: FakeHead, url: str) -> None:
    assert JobsApi(url, None).session() == head.session


def test_a_head_that_wants_a_token_is_named_with_the_way_to_pass_one(head: FakeHead, url: str) -> None:
    head.token = "secret"
    with pytest.raises(ClusterRefused, match=r"wants a token\. Pass .*RayJobs\(url, token=\.\.\.\).*ORCHLITE_RAY_TOKEN"):
        JobsApi(url, None).session()
    with pytest.raises(ClusterRefused, match="does not accept the token"):
        JobsApi(url, "wrong").session()
    assert JobsApi(url, "secret").session() == head.session


def test_a_redirection_is_refused_so_that_no_other_server_receives_the_token(head: FakeHead, url: str) -> None:
    elsewhere = FakeHead()
    with serving(elsewhere) as other:
        head.failure = (302, other)
        with pytest.raises(ClusterRefused, match=f"redirects to {other}"):
            JobsApi(url, "secret").session()
    assert elsewhere.requests == []


def test_secrets_in_responses_are_not_repeated(head: FakeHead, url: str) -> None:
    head.failure = (302, "http://login/?state=secret")
    with pytest.raises(ClusterRefused, match=r"redirects to http://login/\."):
        JobsApi(url, "t0ken").session()
    head.failure = (502, "bad gateway; Authorization: Bearer t0ken")
    with pytest.raises(ClusterUnreachable, match=r"Bearer \*\*\*"):
        JobsApi(url, "t0ken").session()


def test_another_version_of_the_api_is_refused(head: FakeHead, url: str) -> None:
    head.version = "5"
    with pytest.raises(ClusterRefused, match=r"version '5' of the Jobs API"):
        JobsApi(url, None).session()


def test_what_is_no_head_is_refused(head: FakeHead, url: str) -> None:
    head.failure = (200, "<html>")
    with pytest.raises(ClusterRefused, match="not the head of a Ray cluster"):
        JobsApi(url, None).session()


@pytest.mark.parametrize("failure", [(200, "<html>"), (404, "<html>the default backend</html>"), (429, "too many requests")])
def test_what_hides_a_head_that_has_responded_passes(head: FakeHead, url: str, failure: tuple[int, str]) -> None:
    api = JobsApi(url, None)
    api.session()
    head.failure = failure
    with pytest.raises(ClusterUnreachable):
        api.session()
    with pytest.raises(ClusterUnreachable):
        api.job("x")


def test_a_page_is_not_taken_for_a_package(head: FakeHead, url: str) -> None:
    head.failure = (200, "<html>")
    with pytest.raises(ClusterRefused, match="not the head of a Ray cluster"):
        JobsApi(url, None).has_package("x")
    with pytest.raises(ClusterRefused, match="not the head of a Ray cluster"):
        JobsApi(url, None).upload_package("x", b"zip")


def test_nothing_at_the_address_is_no_response() -> None:
    with serving(FakeHead()) as url:
        pass
    with pytest.raises(NoResponse, match=r"does not respond: .*refused"):
        JobsApi(url, None).session()


def test_an_error_of_the_head_says_its_last_line_and_passes(head: FakeHead, url: str) -> None:
    head.failure = (500, "Traceback (most recent call last):\n  File x\nRpcError: Timed out")
    with pytest.raises(ClusterUnreachable, match="HTTP 500: RpcError: Timed out"):
        JobsApi(url, None).job("x")


def test_a_job_is_unknown_or_described(head: FakeHead, url: str) -> None:
    api = JobsApi(url, None)
    assert api.job("x") is None
    head.add_job("x")
    info = api.job("x")
    assert info is not None
    assert (info.status, info.node_id, info.has_ended) == ("RUNNING", NODE, False)
    api.stop("x")
    info = api.job("x")
    assert info is not None
    assert (info.status, info.has_ended, info.ended_at and info.ended_at.year) == ("STOPPED", True, 2026)


def test_stopping_an_unknown_job_does_nothing(url: str) -> None:
    JobsApi(url, None).stop("x")


def test_packages_are_found_and_uploaded(head: FakeHead, url: str) -> None:
    api = JobsApi(url, None)
    assert not api.has_package("a.zip")
    api.upload_package("a.zip", b"zip")
    assert api.has_package("a.zip")
    assert head.packages == {"a.zip": b"zip"}


def test_a_package_that_the_head_would_not_accept_is_refused_before_it_is_sent(head: FakeHead, url: str) -> None:
    with pytest.raises(ClusterRefused, match=r"100 MiB is too large .* Leave large files out"):
        JobsApi(url, None).upload_package("a.zip", bytes(PACKAGE_BYTES))
    assert head.requests == []


def test_resources_are_spelled_as_ray_does(head: FakeHead, url: str) -> None:
    resources = {"CPU": 2, "GPU": 0.5, "memory": 2.0**30, "lab": 1}
    JobsApi(url, None).submit(Submission("x", "exec true", "job.zip", ("code.zip", "bundle.zip"), resources))
    assert head.jobs["x"]["request"] == {
        "entrypoint": "exec true",
        "submission_id": "x",
        "runtime_env": {"working_dir": "gcs://job.zip", "py_modules": ["gcs://code.zip", "gcs://bundle.zip"]},
        "entrypoint_num_cpus": 2,
        "entrypoint_num_gpus": 0.5,
        "entrypoint_memory": 2**30,
        "entrypoint_resources": {"lab": 1},
    }


def test_the_end_of_a_log_arrives_in_lines_as_they_are(head: FakeHead, url: str) -> None:
    head.add_job("x")
    head.logs["x"] = b"one\ntwo\r\nthr\xff\ntorn"
    api = JobsApi(url, None)
    assert list(api.log_tail(NODE, "x", 2)) == [b"thr\xff\n", b"torn"]
    assert list(api.log_tail(NODE, "x", -1)) == [b"one\n", b"two\r\n", b"thr\xff\n", b"torn"]
    head.has_logs = False
    with pytest.raises(ClusterUnreachable, match="No address found"):
        list(api.log_tail(NODE, "x", 2))

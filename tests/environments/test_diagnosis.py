"""Explanations of failed installations, from what pip 26 and uv 0.13 really printed."""

from __future__ import annotations

import time

import pytest

from orchlite.environments.diagnosis import explain

_RETRY = "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by "

_VERSIONS = ", ".join(f"{major}.{minor}" for major in range(40) for minor in range(20))

_PIP = {
    "no such package": (
        """Looking in indexes: https://index/simple
ERROR: Could not find a version that satisfies the requirement no-such-thing==1.0 (from versions: none)
ERROR: No matching distribution found for no-such-thing==1.0""",
        ["Nothing on https://index/simple fits no-such-thing==1.0", "Check the spelling", "index_urls", "--index-url"],
    ),
    "no such version": (
        """Looking in indexes: file:///tmp/index/
ERROR: Could not find a version that satisfies the requirement alpha-pkg==9 (from versions: 1.0, 1.5, 2.0rc1)
ERROR: No matching distribution found for alpha-pkg==9""",
        ["There is no alpha-pkg==9 for this Python (3.11). There are: 1.0, 1.5, 2.0rc1."],
    ),
    "no such version of many": (
        "ERROR: Could not find a version that satisfies the requirement many==9 (from versions: 1, 2, 3, 4, 5, 6, 7, 8, 9.1, 10)",
        ["There are: 1 (the oldest), …, 5, 6, 7, 8, 9.1, 10 (the newest)."],
    ),
    "no such version, and some that were withdrawn": (
        f"""Looking in indexes: https://index/simple
ERROR: Ignored the following yanked versions: 2.32.0, 2.32.1
ERROR: Could not find a version that satisfies the requirement requests==99.34.2 (from versions: {_VERSIONS})
ERROR: No matching distribution found for requests==99.34.2""",
        ["There is no requests==99.34.2 for this Python (3.11).", "0.0 (the oldest)", "39.19 (the newest)"],
    ),
    "no such version of something that is required": (
        "ERROR: Could not find a version that satisfies the requirement alpha-pkg==7 (from needs-two) (from versions: 1.0, 1.5)",
        ["There is no alpha-pkg==7", "There are: 1.0, 1.5."],
    ),
    "another Python": (
        """Looking in indexes: file:///tmp/index/
ERROR: Ignored the following versions that require a different python version: 2.0 Requires-Python >=3.99; 3.0 Requires-Python >=4
ERROR: Could not find a version that satisfies the requirement future-pkg==2.0 (from versions: 0.9, 1.0)
ERROR: No matching distribution found for future-pkg==2.0""",
        ["future-pkg==2.0 does not support this Python (3.11): it needs >=3.99.", "Versions that do: 0.9, 1.0."],
    ),
    "every version for another Python": (
        """ERROR: Ignored the following versions that require a different python version: 2.0 Requires-Python >=3.99
ERROR: Could not find a version that satisfies the requirement future-pkg>=2.0 (from versions: none)""",
        ["future-pkg>=2.0 does not support this Python (3.11). None of its versions does."],
    ),
    "a build that fails": (
        """      RuntimeError: no compiler here
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: metadata-generation-failed

× Encountered error while generating package metadata.
╰─> broken-pkg

note: This is an issue with the package mentioned above, not pip.
hint: See above for details.""",
        ["broken-pkg has no wheel for this Python (3.11)", "`pip index versions broken-pkg --only-binary=:all:`"],
    ),
    "a wheel that cannot be built": (
        """  error: subprocess-exited-with-error
  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for broken-pkg
ERROR: Failed to build installable wheels for some pyproject.toml based projects (broken-pkg)""",
        ["broken-pkg has no wheel for this Python (3.11)"],
    ),
    "a contradiction": (
        """ERROR: Cannot install -r rp.txt (line 2) and -r rp.txt (line 3) because these package versions have conflicting dependencies.

The conflict is caused by:
    needs-two 1.0 depends on alpha-pkg==1.0
    other-two 1.0 depends on alpha-pkg==1.5

ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/en/latest/topics/dependency-resolution/""",
        ["The requirements contradict each other"],
    ),
    "a refused connection": (
        f"""Looking in indexes: http://127.0.0.1:9/simple
{_RETRY}'NewConnectionError("HTTPConnection(host='127.0.0.1', port=9): Failed to establish a new connection: [Errno 111]
ERROR: Could not find a version that satisfies the requirement six==1.0 (from versions: none)
ERROR: No matching distribution found for six==1.0""",
        ["127.0.0.1 could not be reached", "index_urls", "--index-url", "pip's configuration", "find-links"],
    ),
    "a host that nobody knows": (
        f"""Looking in indexes: https://nohost.invalid/simple
{_RETRY}'NameResolutionError("HTTPSConnection(host='nohost.invalid', port=443): Failed to resolve 'nohost.invalid' ([Errno -2]
ERROR: Could not find a version that satisfies the requirement six==1.0 (from versions: none)""",
        ["nohost.invalid could not be reached"],
    ),
    "a link that cannot be reached": (
        """Collecting six @ https://****@127.0.0.1:9/six-1.0-py3-none-any.whl (from -r rp.txt (line 1))
error: connection-failed

× Failed to connect to 127.0.0.1 while fetching https://127.0.0.1:9/six-1.0-py3-none-any.whl
╰─> [Errno 111] Connection refused""",
        ["could not be reached"],
    ),
    "a git host that cannot be reached": (
        """  Running command git clone --filter=blob:none --quiet https://git.invalid/x /tmp/pip-req-build-6oj750f0
  fatal: unable to access 'https://git.invalid/x/': Could not resolve host: git.invalid
ERROR: Failed to build 'git+https://git.invalid/x@0123456789012345678901234567890123456789' when git clone --filter=blob:none""",
        ["git.invalid could not be reached"],
    ),
    "no git": (
        """  ERROR: Error [Errno 2] No such file or directory: 'git' while executing command git version
ERROR: Cannot find command 'git' - do you have 'git' installed and in your PATH?""",
        ["git is not installed. Install it"],
    ),
    "a full disk": (
        """Installing collected packages: big-pkg
ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device""",
        ["The disk is full.", "ORCHLITE_CACHE"],
    ),
    "a changed file": (
        """ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, please update
    alpha-pkg==1.0 from file:///tmp/index/alpha-pkg/alpha_pkg-1.0-py3-none-any.whl (from -r rp.txt (line 2)):
        Expected sha256 0000000000000000000000000000000000000000000000000000000000000000
             Got        3f033c49af232a0b82ce93c555b80957be98ddf2f13d89d9b368c365f66161be""",
        ["A file does not match its --hash"],
    ),
}

_BEGIN = "Using Python 3.11.7 environment at: e1\nerror: No solution found when resolving dependencies\n  cause: "

_UV = {
    "no such package": (
        f"{_BEGIN}Because no-such-thing was not found in the package registry and you require no-such-thing==1.0, we can conclude that your"
        " requirements are unsatisfiable.",
        ["There is no package no-such-thing on the package index", "Check the spelling"],
    ),
    "no such version": (
        f"{_BEGIN}Because there is no version of alpha-pkg==9 and you require alpha-pkg==9, we can conclude that your requirements are",
        ["There is no alpha-pkg==9."],
    ),
    "no such range": (
        f"{_BEGIN}Because only alpha-pkg<=2.0rc1 is available and you require alpha-pkg>=9, we can conclude that your requirements are",
        ["There is no alpha-pkg>=9: only alpha-pkg<=2.0rc1 is available."],
    ),
    "another Python": (
        f"""{_BEGIN}Because the current Python version (3.11.7) does not satisfy Python>=3.99 and future-pkg==2.0 depends on Python>=3.99,
         And because only future-pkg<=2.0 is available and you require future-pkg==2.0, we can conclude that your requirements are""",
        ["future-pkg==2.0 does not support this Python (3.11): it needs >=3.99."],
    ),
    "no wheel": (
        f"{_BEGIN}Because only-old==1.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you require only-old==1.0, we can",
        ["only-old==1.0 has no wheel for this Python (3.11) and platform"],
    ),
    "no wheel where none may be built": (
        f"{_BEGIN}Because broken-pkg==1.0 has no usable wheels and you require broken-pkg==1.0, we can conclude that your requirements are",
        ["broken-pkg==1.0 has no wheel for this Python (3.11)"],
    ),
    "a build that fails": (
        """   Building broken-pkg==1.0
error: Failed to build `broken-pkg==1.0`
  cause: The build backend returned an error
  cause: Call to `backend.build_wheel` failed (exit status: 1)

hint: Build failures usually indicate a problem with the package or the build environment""",
        ["broken-pkg has no wheel for this Python (3.11) in that version, and building it from source failed"],
    ),
    "a contradiction": (
        f"""{_BEGIN}Because all versions of other-two depend on alpha-pkg==1.5 and all versions of needs-two depend on alpha-pkg==1.0, we can conclude that all versions of needs-two and all versions of other-two are incompatible.
         And because you require needs-two and other-two, we can conclude that your requirements are unsatisfiable.""",  # noqa: E501
        ["The requirements contradict each other"],
    ),
    "a contradiction of two lines": (
        f"{_BEGIN}Because you require requests==2.32.3 and requests==2.31.0, we can conclude that your requirements are unsatisfiable.",
        ["The requirements contradict each other"],
    ),
    "a contradiction in one line": (
        f"{_BEGIN}you require requests==2.32.0 and requests==99, which are incompatible",
        ["The requirements contradict each other"],
    ),
    "a contradiction with what is required": (
        f"""{_BEGIN}Because requests==2.32.3 depends on urllib3>=1.21.1,<3 and you require requests==2.32.3, we can conclude that you require urllib3>=1.21.1,<3.
         And because you require urllib3==1.20, we can conclude that your requirements are unsatisfiable.""",  # noqa: E501
        ["The requirements contradict each other"],
    ),
    "nothing that something needs": (
        f"""{_BEGIN}Because no-such-thing was not found in the package registry and all versions of six depend on no-such-thing, we can conclude that all versions of six cannot be used.
         And because you require six, we can conclude that your requirements are unsatisfiable.""",  # noqa: E501
        ["There is no package no-such-thing"],
    ),
    "a refused connection": (
        """error: Failed to fetch: http://127.0.0.1:9/simple/six/
  cause: error sending request for url (http://127.0.0.1:9/simple/six/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)""",
        ["127.0.0.1 could not be reached", "index_urls", "--index-url"],
    ),
    "a host that nobody knows": (
        """error: Request failed after 3 retries in 4.6s
  cause: Failed to fetch: http://nohost.invalid/simple/six/
  cause: error sending request for url (http://nohost.invalid/simple/six/)
  cause: failed to lookup address information: Name or service not known""",
        ["nohost.invalid could not be reached"],
    ),
    "a refused login": (
        f"""{_BEGIN}Because six was not found in the package registry and you require six, we can conclude that your requirements are
hint: An index URL (http://127.0.0.1:18999/simple) could not be queried due to a lack of valid authentication""",
        ["http://127.0.0.1:18999/simple refuses the login", "~/.netrc"],
    ),
    "no git": (
        "error: Git operation failed\n  cause: Git executable not found. Ensure that Git is installed.",
        ["git is not installed. Install it"],
    ),
    "a full disk": (
        """error: Failed to install: big_pkg-1.0-py3-none-any.whl (big-pkg==1.0)
  cause: failed to copy file from /home/archive-v0/XbzyaZ/big_pkg.bin to /env/.tmptmKPPY: No space left on device (os error 28)""",
        ["The disk is full."],
    ),
    "a hash for some": (
        "error: In `--require-hashes` mode, all requirements must have a hash, but none were provided for: alpha-pkg==1.5",
        ["If one requirement has a --hash, all need one"],
    ),
}

_CASES = [
    pytest.param(output, words, id=f"{installer}: {name}")
    for installer, outputs in (("pip", _PIP), ("uv", _UV))
    for name, (output, words) in outputs.items()
]


@pytest.mark.parametrize(("output", "words"), _CASES)
def test_a_failure_is_explained_with_the_way_out(output: str, words: list[str]) -> None:
    said = explain(output.splitlines(), "3.11")
    assert said is not None
    assert [word for word in words if word not in said] == []
    assert said.endswith(".")


@pytest.mark.parametrize("output", ["", "Successfully installed six-1.0", "ERROR: something that nobody has seen before"])
def test_unknown_output_is_not_explained(output: str) -> None:
    assert explain(output.splitlines(), "3.11") is None


_NO_SOLUTION = "error: No solution found when resolving dependencies\n  cause: "


@pytest.mark.parametrize(
    ("output", "words"),
    [
        pytest.param(
            "ERROR: other-1.0-cp39-cp39-manylinux1_x86_64.whl is not a supported wheel on this platform.",
            "other-1.0-cp39-cp39-manylinux1_x86_64.whl is for another Python or platform",
            id="pip: a link to a wheel for another Python",
        ),
        pytest.param(
            "ERROR: HTTP error 404 while getting http://host/a-1-py3-none-any.whl",
            "http://host/a-1-py3-none-any.whl responds with 404",
            id="pip: a link to nothing",
        ),
        pytest.param(
            "  cause: HTTP status client error (404 Not Found) for url (http://host/a-1-py3-none-any.whl)",
            "http://host/a-1-py3-none-any.whl responds with 404",
            id="uv: a link to nothing",
        ),
        pytest.param(
            "ERROR: Wheel 'a-b' located at /tmp/x y/a_b-1-py3-none-any.whl is invalid.", "The file of a-b is damaged", id="pip: damaged"
        ),
        pytest.param(
            f"{_NO_SOLUTION}Because a-b==1.0 has an invalid package format and only a-b==1.0 is available, we can conclude that all"
            " versions of a-b cannot be used.\n"
            "         And because you require a-b, we can conclude that your requirements are unsatisfiable.",
            "The file of a-b is damaged",
            id="uv: damaged",
        ),
        pytest.param(
            "  cause: Failed to read metadata: http://host/a.whl\n  cause: Failed to read from zip file",
            "http://host/a.whl is damaged",
            id="uv: a damaged file by link",
        ),
        pytest.param(
            "ERROR: Package 'capped' requires a different Python: 3.11.7 not in '<3.9,>=3.8'",
            "capped does not support this Python (3.11): it needs <3.9,>=3.8",
            id="pip: a file for another Python",
        ),
        pytest.param(
            "ERROR: Packages require a different Python. 3.11.7 not in:\n'<3.9,>=3.8' (required by capped 2.0 (from /a.whl))",
            "capped 2.0 does not support this Python (3.11): it needs <3.9,>=3.8",
            id="pip: files for another Python",
        ),
        pytest.param(
            "error: Package `a` attempted to resolve via URL: file:///a.whl. URL dependencies must be expressed as direct requirements",
            "Write a @ LINK into requirements.txt",
            id="uv: a dependency by link",
        ),
        pytest.param(
            "ERROR: Could not find a version that satisfies the requirement a>2.5 (from versions: 1.0, 2.0, 3.0rc1)",
            "Only pre-releases fit a>2.5. There are: 3.0rc1. Require one of them with ==",
            id="pip: pre-releases only",
        ),
    ],
)
def test_an_explanation_says_what_cannot_be_had(output: str, words: str) -> None:
    assert words in str(explain(output.splitlines(), "3.11"))


@pytest.mark.parametrize(
    "output",
    [
        "ERROR: Could not find a version that satisfies the requirement a==1.0 (from versions: 1.0, 2.0)",
        f"{_NO_SOLUTION}Because all versions of a are odd, we can conclude that all versions of a cannot be used.\n"
        "And because you require a, we can conclude that your requirements are unsatisfiable.",
        f"{_NO_SOLUTION}Because only the following versions of c are available:\n    c==1\n    c==2\nand b==1 depends on c>=3, we can"
        " conclude that b==1 cannot be used.\nAnd because you require b==1, we can conclude that your requirements are unsatisfiable.",
    ],
    ids=["a version that exists", "an unknown reason", "a contradiction where there is none"],
)
def test_what_the_output_does_not_say_is_not_explained(output: str) -> None:
    assert explain(output.splitlines(), "3.11") is None


def test_a_lost_connection_that_was_retried_does_not_explain_a_failed_build() -> None:
    output = f"{_RETRY}'ReadTimeoutError(...)': /simple/six/\n{_PIP['a build that fails'][0]}"
    assert "broken-pkg has no wheel" in str(explain(output.splitlines(), "3.11"))


@pytest.mark.parametrize(
    "piece",
    ["a", "a==", "-a", "https://", "satisfies the requirement ", "we can conclude that ", "Failed to build ", "only a "],
    ids=["word", "versions", "dashes", "addresses", "requirements", "conclusions", "builds", "choices"],
)
def test_a_line_of_a_megabyte_is_examined_in_linear_time(piece: str) -> None:
    begun_at = time.process_time()
    explain([piece * (2**20 // len(piece))], "3.11")
    assert time.process_time() - begun_at < 60  # takes about 1 s; in quadratic time it would take days


_NO_WHEEL = "ERROR: Failed to build 'pandas' when getting requirements to build wheel"


def test_a_set_of_pins_is_suggested_for_a_pin_without_a_wheel() -> None:
    explained = explain([_NO_WHEEL], "3.11", requirements=["numpy==1.22.3", "pandas[excel]==1.3.4", "six==1.17.0"])
    assert explained is not None
    assert explained.startswith("pandas has no wheel for this Python (3.11)")
    assert explained.endswith("replace_pins='platform-2023' in Python, --replace-pins platform-2023 on the command line.")


@pytest.mark.parametrize(
    ("output", "requirements", "python"),
    [
        pytest.param("ERROR: Failed to build 'six' when getting", ["six==1.0", "pandas==1.3.4"], "3.11", id="another package failed"),
        pytest.param(_NO_WHEEL, ["six==1.0"], "3.11", id="not pinned"),
        pytest.param(_NO_WHEEL, ["pandas==1.3.4"], "3.99", id="no set for this Python"),
        pytest.param("No space left on device: pandas", ["pandas==1.3.4"], "3.11", id="another reason"),
    ],
)
def test_no_set_of_pins_is_suggested_where_it_would_not_help(output: str, requirements: list[str], python: str) -> None:
    explained = explain([output], python, requirements=requirements)
    assert explained is not None
    assert "replace_pins" not in explained

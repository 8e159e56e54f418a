"""What calls take: each refusal is a `BadArgument` that names the argument and the way out."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, UserDict
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from orchlite.core.arguments import (
    checked_count,
    checked_env,
    checked_env_names,
    checked_flag,
    checked_id,
    checked_label,
    checked_limits,
    checked_name,
    checked_seconds,
    checked_texts,
    checked_timeout,
    checked_workspace_name,
    encoded_arguments,
    encoded_details,
)
from orchlite.core.errors import BadArgument
from orchlite.core.settings import Limits

_MEBIBYTE = 1024 * 1024


def _refusal(check: Callable[..., object], *arguments: object, **keywords: object) -> BadArgument:
    with pytest.raises(BadArgument) as refusal:
        check(*arguments, **keywords)
    assert refusal.value.hint
    assert len(str(refusal.value)) < 500  # whatever was given
    assert str(refusal.value).isprintable()
    return refusal.value


class TestNames:
    @pytest.mark.parametrize("name", ["a", "x" * 256, "Umsatz März 📈", "../../etc/passwd", None], ids=repr)
    def test_are_labels_of_any_text(self, name: str | None) -> None:
        assert checked_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("", id="empty"),
            pytest.param(" \t", id="blank"),
            pytest.param("x" * 257, id="257 characters"),
            pytest.param("x" * 10_240, id="10 kB"),
            pytest.param("a\0b", id="NUL"),
            pytest.param("a\nb", id="newline"),
            pytest.param("a\x1b[31m", id="escape sequence"),
            pytest.param("a\u202eb", id="text direction"),
            pytest.param("\ud800", id="half a character"),
            pytest.param(5, id="number"),
            pytest.param(b"a", id="bytes"),
        ],
    )
    def test_are_refused(self, name: object) -> None:
        assert _refusal(checked_name, name, "file_name").details["argument"] == "file_name"


class TestLabels:
    @pytest.mark.parametrize("label", ["a", "x" * 256, "Umsatz März 📈"], ids=repr)
    def test_are_names_that_must_be_there(self, label: str) -> None:
        assert checked_label(label, "connection_type") == label

    @pytest.mark.parametrize("label", [None, "", " \t", "x" * 257, "a\nb", 5, b"a", str], ids=repr)
    def test_are_refused(self, label: object) -> None:
        assert _refusal(checked_label, label, "connection_type").details["argument"] == "connection_type"


class TestNamesOfWorkspaces:
    @pytest.mark.parametrize("name", ["a", "Z9", "ml-models", "x" * 63])
    def test_begin_with_a_letter(self, name: str) -> None:
        assert checked_workspace_name(name) == name

    @pytest.mark.parametrize("name", ["", "9a", "-a", "a b", "a_b", "ä", "a\n", "x" * 64, "a\0", 5, None], ids=repr)
    def test_are_refused(self, name: object) -> None:
        assert _refusal(checked_workspace_name, name).details["argument"] == "name"

    def test_may_have_underscores_where_the_platform_takes_them(self) -> None:
        assert checked_workspace_name("a_b", underscores=True) == "a_b"
        _refusal(checked_workspace_name, "_a", underscores=True)


class TestTimeouts:
    @pytest.mark.parametrize("timeout", [1, 1.5, 366 * 86_400, None])
    def test_are_one_second_to_a_year(self, timeout: float | None) -> None:
        assert checked_timeout(timeout) == timeout

    @pytest.mark.parametrize(
        "timeout",
        [-1, 0, 0.999, 366 * 86_400 + 1, math.nan, math.inf, -math.inf, 1e300, 10**400, True, False, "5", [5]],
        ids=lambda timeout: f"{timeout!r:.12}",
    )
    def test_are_refused(self, timeout: object) -> None:
        assert _refusal(checked_timeout, timeout).details["argument"] == "timeout"


class TestSeconds:
    @pytest.mark.parametrize("seconds", [0, 0.5, 1e300])
    def test_are_any_time_that_is_not_negative(self, seconds: float) -> None:
        assert checked_seconds(seconds, "grace_seconds") == seconds

    @pytest.mark.parametrize(
        "seconds", [-1, math.nan, math.inf, 10**5000, True, "5", None], ids=["-1", "NaN", "inf", "huge", "True", "text", "None"]
    )
    def test_are_refused(self, seconds: object) -> None:
        assert _refusal(checked_seconds, seconds, "grace_seconds").details["argument"] == "grace_seconds"


class TestCounts:
    @pytest.mark.parametrize("count", [2, 3, 2**63 - 1])
    def test_are_whole_numbers_from_a_least_one_on(self, count: int) -> None:
        assert checked_count(count, "limit", 2) == count

    @pytest.mark.parametrize(
        "count",
        [1, -1, True, 2.0, "3", None, math.nan, 2**63, 10**5000],
        ids=["1", "-1", "True", "2.0", "text", "None", "NaN", "2**63", "huge"],
    )
    def test_are_refused(self, count: object) -> None:
        assert _refusal(checked_count, count, "limit", 2).details["argument"] == "limit"

    @pytest.mark.parametrize(
        ("count", "bounds", "words"),
        [
            (-1, (0,), "is less than 0. It takes 0 or more."),
            (2**63, (0,), f"is more than {2**63 - 1}. It takes 0 to {2**63 - 1}."),
            (-1, (0, 10), "is less than 0. It takes 0 to 10."),
            (11, (0, 10), "is more than 10. It takes 0 to 10."),
        ],
    )
    def test_are_refused_with_the_bounds_that_hold(self, count: int, bounds: tuple[int, ...], words: str) -> None:
        assert words in str(_refusal(checked_count, count, "limit", *bounds))


@pytest.mark.parametrize("flag", [True, False])
def test_a_flag_is_true_or_false(flag: bool) -> None:
    assert checked_flag(flag, "debug") is flag


@pytest.mark.parametrize("flag", [1, 0, None, "true"], ids=repr)
def test_what_is_only_like_a_flag_is_refused(flag: object) -> None:
    assert _refusal(checked_flag, flag, "debug").details["argument"] == "debug"


@pytest.mark.parametrize("value", ["", "x", "4f0b8f0e-8d3c-4b59-8c4e-3f9a5d0f1a2b"], ids=repr)
def test_an_id_is_any_short_text(value: str) -> None:
    assert checked_id(value, "task_id") == value


@pytest.mark.parametrize("value", [5, None, b"x", "a\0b", "\ud800", "x" * 10_240], ids=lambda value: f"{value!r:.12}")
def test_what_cannot_be_an_id_is_refused(value: object) -> None:
    assert _refusal(checked_id, value, "task_id").details["argument"] == "task_id"


@pytest.mark.parametrize("values", [[], ["a"], ("a", "b"), {"a": 1}], ids=repr)
def test_texts_may_come_in_any_collection(values: Any) -> None:
    assert checked_texts(values, "index_urls") == tuple(values)


@pytest.mark.parametrize("values", ["https://example.org", 5, None, [5], [""], ["a\0"]], ids=repr)
def test_what_are_no_texts_is_refused(values: object) -> None:
    assert _refusal(checked_texts, values, "index_urls").details["argument"] == "index_urls"


def test_limits_may_be_anything_from_nothing_on() -> None:
    limits = Limits(upload_bytes=0, log_bytes=2**40)
    assert checked_limits(limits) is limits


@pytest.mark.parametrize(
    ("limits", "argument"),
    [
        pytest.param(5, "limits", id="a number"),
        pytest.param(None, "limits", id="none"),
        pytest.param({"entries": 5}, "limits", id="a dictionary"),
        pytest.param(Limits(entries=-1), "limits.entries", id="negative"),
        pytest.param(Limits(log_bytes=1.5), "limits.log_bytes", id="no whole number"),  # type: ignore[arg-type]
    ],
)
def test_other_limits_are_refused(limits: object, argument: str) -> None:
    assert _refusal(checked_limits, limits).details["argument"] == argument


class TestTaskArguments:
    @pytest.mark.parametrize(
        "arguments",
        [
            {},
            {"n": 1, "text": "März \u2028 📈", "none": None, "list": [1.5, True, {"deep": []}]},
            {"large": 10**400},
            OrderedDict(b=1, a=2),
            UserDict(a=1),
        ],
        ids=lambda arguments: f"{arguments!r:.20}",
    )
    def test_come_back_as_they_were(self, arguments: Mapping[str, Any]) -> None:
        assert json.loads(encoded_arguments(arguments, _MEBIBYTE)) == arguments

    def test_are_empty_by_default(self) -> None:
        assert encoded_arguments(None, _MEBIBYTE) == "{}"

    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param([], id="a list"),
            pytest.param("{}", id="a text"),
            pytest.param(5, id="a number"),
            pytest.param({"a": math.nan}, id="NaN"),
            pytest.param({"a": [{"b": math.inf}]}, id="infinity"),
            pytest.param({"a": {1, 2}}, id="a set"),
            pytest.param({"a": b"x"}, id="bytes"),
            pytest.param({"a": object()}, id="an object"),
            pytest.param({1: "a"}, id="a number as key"),
            pytest.param({"a": [{None: 1}]}, id="None as key"),
            pytest.param({"a": "\ud800"}, id="half a character"),
            pytest.param({"a": 10**5000}, id="more digits than are printed"),
        ],
    )
    def test_are_refused_where_they_are_no_json(self, arguments: object) -> None:
        assert _refusal(encoded_arguments, arguments, _MEBIBYTE).details["argument"] == "json_args"

    def test_have_a_limit_that_counts_bytes(self) -> None:
        text = json.dumps({"a": "x" * 90})
        assert encoded_arguments({"a": "x" * 90}, len(text)) == text
        refusal = _refusal(encoded_arguments, {"a": "ä" * 90}, len(text))
        assert refusal.details["limit_bytes"] == len(text)
        assert str(len(text)) in refusal.message

    def test_have_a_limit_to_their_depth(self) -> None:
        for depth in (101, 10_000):
            assert _refusal(encoded_arguments, _nested(depth), _MEBIBYTE).details["limit"] == 100
        assert encoded_arguments(_nested(99), _MEBIBYTE)

    def test_that_contain_themselves_are_refused(self) -> None:
        arguments: dict[str, Any] = {}
        arguments["self"] = arguments
        assert _refusal(encoded_arguments, arguments, _MEBIBYTE).details["limit"] == 100


def _nested(depth: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for _ in range(depth):
        arguments = {"a": arguments}
    return arguments


class TestDetails:
    def test_come_back_as_they_were(self) -> None:
        details = {"host": "März 📈", "ports": [1, None, {"tls": True}], "large": 10**400}
        assert json.loads(encoded_details(details, _MEBIBYTE)) == details

    def test_are_empty_by_default(self) -> None:
        assert encoded_details(None, _MEBIBYTE) == "{}"

    @pytest.mark.parametrize(
        "details",
        [
            pytest.param(["hunter2"], id="a list"),
            pytest.param("hunter2", id="a text"),
            pytest.param({"a": "hunter2", "b": math.nan}, id="NaN"),
            pytest.param({"a": {"hunter2"}}, id="a set"),
            pytest.param({b"hunter2": 1}, id="bytes as key"),
            pytest.param({"a": "hunter2\ud800"}, id="half a character"),
            pytest.param({"a": "hunter2" * _MEBIBYTE}, id="too large"),
            pytest.param({"hunter2": json.loads("[" * 101 + "]" * 101)}, id="too deep"),
        ],
    )
    def test_are_refused_without_a_word_of_them(self, details: object) -> None:
        refusal = _refusal(encoded_details, details, _MEBIBYTE)
        assert refusal.details["argument"] == "details"
        told = [str(refusal), repr(vars(refusal)), repr(refusal.__cause__), repr(refusal.__context__)]
        assert [text for text in told if "hunter2" in text] == []


class TestEnvironmentVariables:
    @pytest.mark.parametrize("env", [{}, {"A": ""}, {"a b": "=x=\n"}, {"NAME": "März"}, {"RAW": "\udcff"}], ids=repr)
    def test_are_names_and_values_that_a_process_can_be_given(self, env: dict[str, str]) -> None:
        assert checked_env(env) == env

    def test_are_none_by_default(self) -> None:
        assert checked_env(None) == {}

    def test_are_a_copy(self) -> None:
        env = {"A": "1"}
        assert checked_env(env) is not env

    @pytest.mark.parametrize(
        "env",
        [
            [],
            "A=1",
            5,
            {"": "x"},
            {"A=": "x"},
            {"A\0": "x"},
            {5: "x"},
            {"A": 1},
            {"A": None},
            {"A": "\0"},
            {"A": "\ud800"},
            {"\ud800": "x"},
        ],
        ids=ascii,
    )
    def test_are_refused(self, env: object) -> None:
        assert _refusal(checked_env, env).details["argument"] == "env"

    @pytest.mark.parametrize("names", [[], ["A", "B"], ("A",), {"A": 1}], ids=repr)
    def test_may_be_passed_through_by_name(self, names: Any) -> None:
        assert checked_env_names(names) == tuple(names)

    @pytest.mark.parametrize("names", ["A", 5, None, [""], ["A="], ["A\0"], [5]], ids=repr)
    def test_are_not_passed_through_by_anything_else(self, names: object) -> None:
        assert _refusal(checked_env_names, names).details["argument"] == "env_passthrough"


@pytest.mark.parametrize("given", [300, 300.0, "5m", "4m60s", timedelta(minutes=5)])
def test_a_duration_is_a_number_of_seconds_a_timedelta_or_a_text(given: object) -> None:
    assert checked_timeout(given) == checked_seconds(given, "timeout") == 300


@pytest.mark.parametrize("given", ["5", "", "five minutes", "-5m", timedelta(days=-1), "9" * 400 + "d", None])
def test_a_duration_is_nothing_else(given: object) -> None:
    with pytest.raises(BadArgument, match="timeout"):
        checked_seconds(given, "timeout")

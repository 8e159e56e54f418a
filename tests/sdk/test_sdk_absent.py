"""What the platform's SDK has and orchlite has not: importable, nameable, catchable, and loud when called."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Optional
from unittest import mock

import pytest

import orchlite.sdk.wallaroo as wallaroo
from orchlite.sdk.wallaroo import Client


def client(**named: Any) -> Any:
    """Make a client that type checkers let do anything: what is absent is given to the class when it is made."""
    return Client(**named)


def call(path: str) -> Callable[[], Any]:
    """Make a function that calls the thing at `path`, below the module."""

    def it() -> Any:
        thing: Any = wallaroo
        for name in path.split("."):
            thing = getattr(thing, name)
        return thing("x", 1, named=True)

    return it


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: client().create_tag("x"), "Client.create_tag"),
        (lambda: client().httpx_client.get("/"), "Client.httpx_client.get"),
        (call("Client.list_assays"), "Client.list_assays"),
        (call("DeploymentConfigBuilder.convert_acceleration"), "DeploymentConfigBuilder.convert_acceleration"),
        (call("tag.Tag"), "wallaroo.tag.Tag"),
        (call("pipeline.Pipeline.publish"), "Pipeline.publish"),
        (call("user.User"), "wallaroo.user.User"),
        (call("auth.logout"), "wallaroo.auth.logout"),
        (call("framework.Framework.ONNX.validate"), "Framework.validate"),
        (call("client.WALLAROO_URL.format"), "wallaroo.client.WALLAROO_URL.format"),
        (call("wallaroo_ml_ops_api_client.Client"), "wallaroo.wallaroo_ml_ops_api_client.Client"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_call_is_refused_by_name_and_on_stderr(made: Callable[[], Any], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotImplementedError) as caught:
        made()
    assert str(caught.value).startswith(f"{name} is not emulated by orchlite")
    assert capsys.readouterr().err == f"orchlite: {caught.value}\n"


def test_a_refusal_survives_a_program_without_stderr() -> None:
    with mock.patch("sys.stderr", None), pytest.raises(NotImplementedError):
        client().create_tag("x")


def test_a_class_derived_from_an_absent_one_is_refused_when_it_is_made() -> None:
    class Mine(wallaroo.tag.Tag):  # type: ignore[misc]
        pass

    with pytest.raises(NotImplementedError, match="Tag is not emulated"):
        Mine()


def test_a_name_that_the_sdks_client_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        client().nonsense  # noqa: B018


def test_looking_costs_nothing_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    made = client()
    assert hasattr(made, "create_tag")
    assert not hasattr(made, "nonsense")
    assert repr(made.create_tag) == "<Client.create_tag: not emulated by orchlite>"
    assert capsys.readouterr().err == ""


def test_an_absent_method_can_be_replaced_in_tests_of_the_program() -> None:
    with mock.patch.object(Client, "create_tag", return_value="a double") as double:
        assert client().create_tag("x") == "a double"
    double.assert_called_once_with("x")


@pytest.mark.parametrize(
    "hint",
    [
        lambda: wallaroo.tag.Tag | None,
        lambda: Optional[wallaroo.tag.Tag],  # noqa: UP045 - as programs write it
        lambda: list[wallaroo.framework.Framework],
        lambda: dict[str, wallaroo.assay.Assay],
    ],
    ids=["union", "optional", "list", "dict"],
)
def test_absent_classes_stand_in_type_hints(hint: Callable[[], Any]) -> None:
    assert "wallaroo." in repr(hint())


@pytest.mark.parametrize("path", ["tag.Tag", "framework.Framework", "object.EntityNotFoundError"])
def test_absent_classes_can_be_asked_about_instances(path: str) -> None:
    module, name = path.split(".")
    assert not isinstance("x", getattr(getattr(wallaroo, module), name))


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("object.EntityNotFoundError", Exception),
        ("object.CommunicationError", Exception),
        ("object.ModelConversionError", Exception),
        ("framework.ModelOptimizationConfigError", Exception),
    ],
)
def test_the_sdks_errors_are_made_raised_and_caught(path: str, base: type[Exception]) -> None:
    module, name = path.split(".")
    error = getattr(getattr(wallaroo, module), name)
    assert error.__bases__[0] is base or issubclass(error.__bases__[0], base)
    with pytest.raises(error, match="some name"):
        raise error("Pipeline", params={"pipeline_name": "some name"})


def test_the_sdks_errors_derive_from_each_other_as_there() -> None:
    with pytest.raises(wallaroo.auth.AuthError):
        raise wallaroo.auth.TokenRefreshError("expired")
    assert issubclass(wallaroo.exceptions.ModelUploadError, wallaroo.exceptions.WallarooAPIError)


@pytest.mark.parametrize(
    ("member", "text", "value"),
    [
        (lambda: wallaroo.framework.Framework.ONNX, "Framework.ONNX", "onnx"),
        (
            lambda: wallaroo.framework.Framework.HUGGING_FACE_SUMMARIZATION,
            "Framework.HUGGING_FACE_SUMMARIZATION",
            "hugging-face-summarization",
        ),
        (lambda: wallaroo.engine_config.Architecture.X86, "x86", "x86"),
        (lambda: wallaroo.engine_config.Acceleration._None, "none", "none"),
        (lambda: wallaroo.auth.AuthType.USER_PASSWORD, "AuthType.USER_PASSWORD", "user_password"),
        (lambda: wallaroo.client.DataSizeUnit.MiB, "DataSizeUnit.MiB", "MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_enumerations_have_the_sdks_members_values_and_texts(member: Callable[[], Any], text: str, value: str) -> None:
    assert (str(member()), member().value) == (text, value)
    assert type(member())(value) is member()


def test_string_enumerations_compare_with_strings() -> None:
    assert wallaroo.framework.Framework.ONNX == "onnx"
    assert wallaroo.auth.AuthType.SSO != "sso"


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"request_timeout": 120},
        {"api_endpoint": "https://platform.example", "auth_type": "sso", "gql_client": None},
        {"auth_endpoint": "https://keycloak.example"},
        {"interactive": False, "time_format": "%H:%M", "config": {"default_arch": "x86"}},
    ],
    ids=["bare", "timeout", "endpoint", "2023", "rest"],
)
def test_a_client_takes_the_sdks_arguments_without_effect(named: dict[str, Any]) -> None:
    made = client(**named)
    assert (made._api_endpoint, made.timeout) == (named.get("api_endpoint"), named.get("request_timeout"))


def test_a_client_refuses_an_argument_that_the_sdks_has_not() -> None:
    with pytest.raises(TypeError, match="colour"):
        client(colour="red")


def test_every_name_of_the_sdk_leads_somewhere() -> None:
    from orchlite.sdk.wallaroo._submodules import names
    from orchlite.sdk.wallaroo._surface import MODULES

    for place in filter(None, MODULES):
        module: Any = wallaroo
        for part in place.split("."):
            module = getattr(module, part)
        for name in names(place):
            assert getattr(module, name) is not None, f"{place}.{name}"


def test_what_is_emulated_has_its_name_from_the_sdk() -> None:
    from orchlite.sdk.wallaroo._submodules import EMULATED, names

    unknown = [full_name for full_name in EMULATED if full_name.rpartition(".")[2] not in names(full_name.rpartition(".")[0])]
    assert unknown == ["version.__version__"]


def test_an_absent_thing_can_be_copied_into_another_process() -> None:
    copied = pickle.loads(pickle.dumps(client().create_tag))
    assert repr(copied) == repr(client().create_tag)

"""Options of pip and requirement lines that mean the same to uv, and those that do not."""

from __future__ import annotations

import pytest

from orchlite.environments import uv

_HASH = "--hash=sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param({"index-url": "https://a"}, {}, id="one index, which goes by the file"),
        pytest.param({"find-links": "/w", "no-index": "1", "extra-index-url": "https://b"}, {}, id="an extra index, but none at all"),
        pytest.param({"cert": "/c", "client-cert": "/k"}, {"SSL_CERT_FILE": "/c", "SSL_CLIENT_CERT": "/k"}, id="certificates"),
        pytest.param({"trusted-host": "a b:1"}, {"UV_INSECURE_HOST": "a b:1"}, id="trusted hosts"),
        pytest.param({"timeout": "5", "retries": "0"}, {"UV_HTTP_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"}, id="patience"),
        pytest.param({"no-cache-dir": "true", "cache-dir": "/c"}, {"UV_NO_CACHE": "1"}, id="no cache"),
        pytest.param({"no-cache-dir": "false"}, {}, id="a cache"),
        pytest.param({"keyring-provider": "subprocess"}, {"UV_KEYRING_PROVIDER": "subprocess"}, id="a keyring"),
        pytest.param({"keyring-provider": "disabled"}, {}, id="no keyring"),
    ],
)
def test_an_option_that_uv_has_too_becomes_its_variable(settings: dict[str, str], variables: dict[str, str]) -> None:
    assert uv.supports_options(settings)
    assert uv.translated(settings) == variables


def test_a_proxy_is_the_proxy_for_everything() -> None:
    assert set(uv.translated({"proxy": "http://p:1"}).items()) >= {("HTTPS_PROXY", "http://p:1"), ("http_proxy", "http://p:1")}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"extra-index-url": "https://b"}, id="several indexes, of which pip takes the best"),
        pytest.param({"extra-index-url": "https://b", "no-index": "false"}, id="no-index that is off"),
        pytest.param({"proxy": "p:1"}, id="a proxy without a scheme"),
        pytest.param({"timeout": "1.5"}, id="part of a second"),
        pytest.param({"keyring-provider": "import"}, id="another keyring"),
        pytest.param({"no-proxy-env": "true"}, id="something uv does not have"),
    ],
)
def test_an_option_without_an_equivalent_in_uv_is_left_to_pip(settings: dict[str, str]) -> None:
    assert not uv.supports_options(settings)


def test_options_without_an_equivalent_do_not_affect_the_others() -> None:
    assert uv.translated({"no-proxy-env": "true", "cert": "/c"}) == {"SSL_CERT_FILE": "/c"}


@pytest.mark.parametrize(
    ("lines", "accepted"),
    [
        pytest.param(["six==1.0", f"idna==3 {_HASH}"], True, id="usual lines"),
        pytest.param(["a @ https://h/a-12345678901234567890.zip"], True, id="a long number in a link"),
        pytest.param(["--only-binary=:all:", "six"], True, id="all"),
        pytest.param(["--only-binary=:all:", "--no-binary=six", "six"], False, id="an exception to all"),
        pytest.param(["--only-binary=a", "--no-binary=six", "six"], True, id="names"),
        pytest.param(["six==1.12345678901234567890"], False, id="a number that needs more than 64 bits"),
    ],
)
def test_lines_that_uv_reads_differently_are_not_supported(lines: list[str], accepted: bool) -> None:
    assert uv.supports_requirements(lines) is accepted


@pytest.mark.parametrize(
    ("lines", "options", "wanted"),
    [
        pytest.param(["six==1.0"], [], ["six==1.0"], id="no options"),
        pytest.param(["--pre", "six"], ["--prerelease=allow"], ["six"], id="pre-releases"),
        pytest.param(["--no-binary=six", "six"], ["--no-binary=six"], ["six"], id="no wheels"),
        pytest.param([f"six==1.0 {_HASH}"], ["--require-hashes"], [f"six==1.0 {_HASH}"], id="hashes, which then everything needs"),
    ],
)
def test_options_are_split_off_for_the_command_line(lines: list[str], options: list[str], wanted: list[str]) -> None:
    assert uv.split_options(lines) == (options, wanted)


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"])
def test_uv_is_configured_by_a_variable_that_names_a_source(name: str) -> None:
    assert uv.configures_indexes({name: "x"})
    assert not uv.configures_indexes({name: "", "UV_CACHE_DIR": "/c"})


@pytest.mark.parametrize(
    ("variables", "index"),
    [
        ({}, None),
        ({"UV_DEFAULT_INDEX": "https://a/simple"}, "https://a/simple"),
        ({"UV_INDEX": "first=https://b/simple https://c", "UV_DEFAULT_INDEX": "https://a"}, "https://b/simple"),
        ({"UV_INDEX_URL": "", "UV_EXTRA_INDEX_URL": "https://d"}, "https://d"),
    ],
)
def test_the_first_index_is_the_one_that_is_asked_first(variables: dict[str, str], index: str | None) -> None:
    assert uv.first_index(variables) == index

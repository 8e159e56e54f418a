"""The lines of a `requirements.txt`: normalised, refused with the way out, and never quoted with a password."""

from __future__ import annotations

import pytest

from orchlite.core.errors import BadRequirement
from orchlite.core.text import mask_credentials
from orchlite.environments.requirements import CONTENT_BYTES, LINE_CHARACTERS, LINES, parse_requirements

COMMIT = "0123456789abcdef0123456789ABCDEF01234567"
DIGITS = "ab" * 32


def lines_of(text: str) -> tuple[str, ...]:
    return parse_requirements(text.encode()).lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("Requests==2.31.0", "requests==2.31.0", id="name in one spelling"),
        pytest.param("ruamel.yaml_clib==1", "ruamel-yaml-clib==1", id="separators in one spelling"),
        pytest.param("a >= 2.8.1 , < 3", "a<3,>=2.8.1", id="specifiers sorted and without blanks"),
        pytest.param("a (>=1)", "a>=1", id="specifiers in brackets"),
        pytest.param("a==1.0RC1", "a==1.0rc1", id="version in one spelling"),
        pytest.param("a==1.*", "a==1.*", id="wildcard"),
        pytest.param("a===one", "a===one", id="arbitrary equality"),
        pytest.param("a[Z,b_c] == 1", "a[b-c,z]==1", id="extras sorted"),
        pytest.param("a==1;python_version<'3.12'", 'a==1; python_version < "3.12"', id="marker"),
        pytest.param(f"a==1 --hash sha256:{DIGITS.upper()}", f"a==1 --hash=sha256:{DIGITS}", id="hash"),
        pytest.param(f"a @ https://host/a.whl#sha256={DIGITS}", f"a @ https://host/a.whl#sha256={DIGITS}", id="named URL"),
        pytest.param("a@https://host/a", "a @ https://host/a", id="named URL with any ending"),
        pytest.param("a @ https://h/a.zip ; os_name=='posix'", 'a @ https://h/a.zip ; os_name == "posix"', id="URL with a marker"),
        pytest.param("HTTPS://host/a-1-py3-none-any.whl", "https://host/a-1-py3-none-any.whl", id="bare URL of a wheel"),
        pytest.param("https://host/a.tar.gz", "https://host/a.tar.gz", id="bare URL of a tar"),
        pytest.param("https://host/a.zip#egg=A_b&subdirectory=s", "a-b @ https://host/a.zip#subdirectory=s", id="name given as egg"),
        pytest.param("https://h/a.zip ; os_name=='posix'", 'https://h/a.zip ; os_name == "posix"', id="bare URL with a marker"),
        pytest.param(f"git+https://host/a.git@{COMMIT}", f"git+https://host/a.git@{COMMIT.lower()}", id="commit"),
        pytest.param(f"a @ git+https://host/a@{COMMIT}", f"a @ git+https://host/a@{COMMIT.lower()}", id="named commit"),
        pytest.param("--pre", "--pre", id="pre"),
        pytest.param("--only-binary :all:", "--only-binary=:all:", id="only-binary"),
        pytest.param("--no-binary=A_b", "--no-binary=a-b", id="no-binary"),
    ],
)
def test_an_accepted_line_is_normalised(text: str, line: str) -> None:
    assert lines_of(text) == (line,)


def test_equal_requirements_in_another_order_and_spelling_give_equal_lines() -> None:
    one = "--pre\nB>=1,<2\na==1.0  # pinned\na==1.0\n"
    other = "\ufeff# needs\r\n\r\nA == 1.0\r\n  b <2, >=1\r\n--pre\r\n"
    assert lines_of(one) == lines_of(other) == ("--pre", "a==1.0", "b<2,>=1")


def test_normalised_lines_stay_the_same_when_they_are_parsed_again() -> None:
    text = (
        f"--no-binary :all:\n--only-binary=b,c\nb>=1\nA[x]==1;os_name=='posix'\nc @ git+https://h/c@{COMMIT}\na==1 --hash=sha256:{DIGITS}"
    )
    lines = lines_of(text)
    assert lines_of("\n".join(lines)) == lines


def test_an_empty_file_requires_nothing() -> None:
    assert lines_of("\n  \n# only a comment\n") == ()


def test_continued_lines_are_one_and_count_from_their_first() -> None:
    assert lines_of(f"a==1 \\\n  --hash=sha256:{DIGITS} \\\n  --hash=sha256:{'0' * 64}\nb==2") == (
        f"a==1 --hash=sha256:{'0' * 64} --hash=sha256:{DIGITS}",
        "b==2",
    )
    with pytest.raises(BadRequirement) as caught:
        lines_of("a==1\nb \\\n=\\\n2\n")
    assert caught.value.details["line"] == 2


def test_a_comment_ends_a_continuation_and_is_not_continued() -> None:
    assert lines_of("a\\\n==1\\\n # why \\\nb==2") == ("a==1", "b==2")


def test_a_number_sign_without_a_space_before_it_is_no_comment() -> None:
    assert lines_of("https://host/a.zip#sha256=1 # why") == ("https://host/a.zip#sha256=1",)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("--only-binary a\n--no-binary a", ("--no-binary=a",), id="the later line wins"),
        pytest.param("--only-binary a\n--no-binary :all:", ("--no-binary=:all:",), id="all clears earlier names"),
        pytest.param("--only-binary :all:\n--no-binary a", ("--only-binary=:all:", "--no-binary=a"), id="an exception of all"),
        pytest.param("--no-binary a,b\n--no-binary :none:", (), id="none"),
        pytest.param("--pre --no-binary b,a", ("--pre", "--no-binary=a", "--no-binary=b"), id="several on one line"),
    ],
)
def test_only_binary_and_no_binary_combine_as_in_pip(text: str, lines: tuple[str, ...]) -> None:
    assert lines_of(text) == lines


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("-r more.txt", "Copy the lines", id="-r"),
        pytest.param("-rmore.txt", "Copy the lines", id="-r glued"),
        pytest.param("--requirement=more.txt", "Copy the lines", id="--requirement"),
        pytest.param("-c limits.txt", "Write the versions", id="-c"),
        pytest.param("--constraint limits.txt", "Write the versions", id="--constraint"),
        pytest.param("-e .", "beside main.py", id="-e"),
        pytest.param("--editable=./a", "beside main.py", id="--editable"),
        pytest.param("-i https://host/simple", "index_urls", id="-i"),
        pytest.param("--index-url https://host/simple", "index_urls", id="--index-url"),
        pytest.param("--extra-index-url=https://host/simple", "index_urls", id="--extra-index-url"),
        pytest.param("--no-index", "index_urls", id="--no-index"),
        pytest.param("-f wheels", "index_urls", id="-f"),
        pytest.param("--find-links wheels", "index_urls", id="--find-links"),
        pytest.param("--trusted-host host", "index_urls", id="--trusted-host"),
        pytest.param("--require-hashes", "--only-binary", id="any other option"),
        pytest.param("a==1 --config-settings=x=y", "--hash", id="an option after a requirement"),
        pytest.param("--only-binary", ":all:", id="--only-binary without a name"),
        pytest.param("--no-binary a,,b", ":all:", id="--no-binary with an empty name"),
        pytest.param("a==1 --hash=md5:00", "sha256", id="weak hash"),
        pytest.param("a==1 --hash=sha256:00", "pip hash", id="short hash"),
        pytest.param("file:///wheels/a.whl", "beside main.py", id="file URL"),
        pytest.param("a @ file:///wheels/a.whl", "beside main.py", id="named file URL"),
        pytest.param("/wheels/a.whl", "beside main.py", id="absolute path"),
        pytest.param("a @ /wheels/a.whl", "beside main.py", id="named absolute path"),
        pytest.param("~/a", "beside main.py", id="home path"),
        pytest.param("./a", "beside main.py", id="relative path"),
        pytest.param("wheels/a.whl", "beside main.py", id="relative path without a dot"),
        pytest.param("a-1.0.tar.gz", "beside main.py", id="file name"),
        pytest.param("C:\\wheels\\a.whl", "beside main.py", id="Windows path"),
        pytest.param("a==${VERSION}", "Write the value", id="variable"),
        pytest.param("http://host/a.whl", "https", id="http"),
        pytest.param("https://host/a.txt", "NAME @", id="bare URL of something else"),
        pytest.param("https:///a.whl", "https://HOST/PATH", id="URL without a host"),
        pytest.param("git+https://host/a", "40 digits", id="git without a commit"),
        pytest.param("a @ git+https://host/a@main", "40 digits", id="git with a branch"),
        pytest.param(f"git+ssh://git@host/a@{COMMIT}", "git+https", id="git over ssh"),
        pytest.param("svn+https://host/a", "https", id="another version control"),
        pytest.param("requests=2.0", "Write requests==2.0", id="single equals"),
        pytest.param("numpy[x] = 1.2=py38_0", "Write numpy[x]==1.2", id="as conda writes it"),
        pytest.param("pip install x", "Write only x", id="pip install"),
        pytest.param("!pip3 install x==2 y", "Write only the requirements, one on a line", id="pip install in a notebook"),
        pytest.param("python3 -m pip install x", "Write only x", id="python -m pip install"),
        pytest.param("conda install x", "Write only x", id="conda install"),
        pytest.param("pip install -r more.txt", "Write only the requirements", id="pip install -r"),
        pytest.param("pip install x -U", "Write only the requirements, one on a line", id="pip install with an option at the end"),
        pytest.param("a==1 --no-binary a", "Write --no-binary on a line of its own", id="--no-binary after a requirement"),
        pytest.param("a==1 --pre", "Write --pre on a line of its own", id="--pre after a requirement"),
        pytest.param("--pre a", "on lines of their own", id="a requirement after an option"),
        pytest.param("a=>1.0", "Write a>=1.0", id="swapped >="),
        pytest.param("a[x] =~ 1.0, <2", "Write a[x]~=1.0, <2", id="swapped ~="),
        pytest.param("https://h/a.zip; os_name=='x'", "Write URL ; os_name=='x'", id="no blank between a bare URL and a marker"),
        pytest.param("a @ https://h/a.zip; os_name=='x'", "Write URL ; os_name=='x'", id="no blank between a URL and a marker"),
        pytest.param("a @ file:///croot/a_1/dist/a-1.0.whl#sha256=00", "a==VERSION; `pip list --format=freeze`", id="from conda"),
        pytest.param("a[x] @ file:///croot/a_1/work", "Write a==VERSION; ", id="from conda with an extra"),
        pytest.param("a b", "NAME==VERSION", id="two words"),
        pytest.param("a_", "NAME==VERSION", id="a name that ends with an underscore"),
        pytest.param("a[b_]==1", "NAME==VERSION", id="an extra that ends with an underscore"),
        pytest.param("a>=", "NAME==VERSION", id="no version"),
        pytest.param("a==1;", "NAME==VERSION", id="empty marker"),
        pytest.param("a==1 ; " + "(" * 2000 + "os_name=='x'" + ")" * 2000, "NAME==VERSION", id="nested too deeply"),
        pytest.param("a==1" + " " * LINE_CHARACTERS + "b", "one requirement", id="overlong line"),
    ],
)
def test_a_refused_line_is_named_with_the_way_out(text: str, hint: str) -> None:
    with pytest.raises(BadRequirement) as caught:
        parse_requirements(f"# first\nfine==1\n{text}\n".encode(), name="sub/requirements.txt")
    error = caught.value
    assert error.details["line"] == 3
    assert error.details["text"] == mask_credentials(text)
    assert hint in str(error.hint)
    assert str(error).startswith("sub/requirements.txt, line 3: ")
    assert len(str(error)) < 800


@pytest.mark.parametrize(
    ("content", "line", "complaint"),
    [
        pytest.param("a==1\n".encode("utf-16"), 1, "UTF-16", id="UTF-16"),
        pytest.param(b"\xfe\xff" + "a==1\n".encode("utf-16-be"), 1, "UTF-16", id="UTF-16 big endian"),
        pytest.param(b"a==1\r\n\rb==\x002", 3, "NUL", id="NUL"),
        pytest.param(b"a==1\n# caf\xe9", 2, "UTF-8", id="Latin-1"),
        pytest.param(b"a==1\n# x\x0cb==1", 2, r"'\x0c'", id="a character at which pip splits lines"),
        pytest.param("a==1\n# x\u2028b==1".encode(), 2, r"'\u2028'", id="a line separator"),
        pytest.param(b"a==1\n" * (CONTENT_BYTES // 5 + 1), 1, "longer than 1 MiB", id="too long"),
    ],
)
def test_bytes_that_are_not_utf_8_text_are_refused_with_their_line(content: bytes, line: int, complaint: str) -> None:
    with pytest.raises(BadRequirement) as caught:
        parse_requirements(content)
    assert caught.value.details["line"] == line
    assert complaint in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("line", ["wallaroo==2025.2.5", "Wallaroo", "wallaroo @ https://host/wallaroo.whl"])
def test_wallaroo_is_dropped_with_a_warning(line: str) -> None:
    requirements = parse_requirements(f"a==1\n{line}\n".encode())
    assert requirements.lines == ("a==1",)
    (warning,) = requirements.warnings
    assert "line 2" in warning
    assert "wallaroo" in warning


def test_a_requirement_without_a_version_is_kept_with_a_warning() -> None:
    requirements = parse_requirements(b"Pinned==1\nranged>=1\nLoose[x]\n")
    assert requirements.lines == ("loose[x]", "pinned==1", "ranged>=1")
    (warning,) = requirements.warnings
    assert "line 3" in warning
    assert "Write Loose[x]==VERSION" in warning


@pytest.mark.parametrize("line", ["https://user:secret@host/a.whl", "a @ https://user:secret@host/a.whl"])
def test_a_password_in_a_url_is_kept_for_the_installer_with_a_warning_that_masks_it(line: str) -> None:
    requirements = parse_requirements(line.encode())
    assert requirements.lines == (line,)
    (warning,) = requirements.warnings
    assert "https://****@host/a.whl" in warning


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://user:secret@host/",
        "http://user:secret@host/a.whl",
        "a @ https://user:secret@host b",
        "x=1 # https://user:secret@h",
    ],
)
def test_an_error_never_shows_a_password(line: str) -> None:
    with pytest.raises(BadRequirement) as caught:
        lines_of(line)
    told = f"{caught.value} {caught.value.details} {caught.value.__cause__}"
    assert "secret" not in told


def test_all_lines_that_are_refused_are_named_at_once() -> None:
    with pytest.raises(BadRequirement, match=r"line 1: .*==0\.9\.0\n.*line 2: .*-r.*\n.*line 4: ") as caught:
        parse_requirements(b"tabulate=0.9.0\n-r other.txt\nok==1\n./pkg\n")
    assert caught.value.details == {"line": 1, "text": "tabulate=0.9.0", "file": "requirements.txt"}


def test_of_many_lines_that_are_refused_the_first_ten_are_named() -> None:
    with pytest.raises(BadRequirement, match="Lines from 12 on were not read; more of them may be refused") as caught:
        parse_requirements(b"a=1\n" * 10 + b"# comment\n" + b"a=1\n" * 200_000)
    assert len(str(caught.value).splitlines()) == 11


def test_ten_lines_that_are_refused_are_all_of_them() -> None:
    with pytest.raises(BadRequirement) as caught:
        parse_requirements(b"a=1\n" * 10)
    assert len(str(caught.value).splitlines()) == 10


def test_more_lines_than_any_environment_needs_are_refused() -> None:
    with pytest.raises(BadRequirement, match=f"has more than {LINES} requirements") as caught:
        parse_requirements(b"--pre\n" * (LINES + 1))
    assert caught.value.details["limit"] == LINES
    assert caught.value.details["line"] == LINES + 1


@pytest.mark.parametrize("line", ["", " ", "#", "\t# x", "\\"])
def test_a_megabyte_of_lines_without_a_requirement_is_read(line: str) -> None:
    text = f"{line}\n" * ((CONTENT_BYTES - 10) // (len(line) + 1)) + "\na==1"
    assert parse_requirements(text.encode()).lines == ("a==1",)


def test_the_version_that_a_warning_asks_for_keeps_extras_and_marker() -> None:
    (warning,) = parse_requirements(b"psycopg[pool,binary] ; os_name == 'posix'").warnings
    assert warning.endswith('Write psycopg[binary,pool]==VERSION; os_name == "posix"')


@pytest.mark.parametrize(
    ("fragment", "kept"),
    [
        ("subdirectory=s&egg=a&sha256=00", "#subdirectory=s&sha256=00"),
        ("egg=a&sha256=00", "#sha256=00"),
        ("sha256=00&egg=a", "#sha256=00"),
        ("egg=a", ""),
        ("egg=a&egg=b&sha256=00", "#sha256=00"),
        ("&egg=a&&sha256=00", "#sha256=00"),
    ],
)
def test_the_rest_of_a_fragment_that_names_the_package_is_kept(fragment: str, kept: str) -> None:
    assert lines_of(f"https://host/a.zip#{fragment}") == (f"a @ https://host/a.zip{kept}",)
    assert lines_of(f"https://host/a.zip#{fragment} ; os_name == 'x'") == (f'a @ https://host/a.zip{kept} ; os_name == "x"',)


def test_a_backslash_before_a_blank_is_refused_as_what_it_is() -> None:
    with pytest.raises(BadRequirement, match=r"continues nothing\. Remove the blanks at its end"):
        lines_of("a==1 \\ \n --hash=sha256:00")


def test_a_query_names_no_package() -> None:
    assert lines_of("https://host/a-1.zip?x=1&egg=b") == ("https://host/a-1.zip?x=1&egg=b",)

from __future__ import annotations

import io
import tempfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import strategies as st

from orchlite.bundles import archive, bundle
from orchlite.bundles.names import check_collisions, check_name, is_junk
from orchlite.bundles.packing import pack
from orchlite.core.errors import BadBundle, BadRequirement
from orchlite.core.settings import Limits
from orchlite.environments.requirements import parse_requirements
from tests.properties.held import held

PROGRAM = b"print('x')\n" * 9
LIMITS = Limits()

components = st.one_of(st.text("abcXYZ._- 0é数", min_size=1, max_size=6), st.text(min_size=1, max_size=4))
paths = st.lists(components, min_size=1, max_size=4).map("/".join)
contents = st.one_of(st.binary(max_size=200), st.builds(bytes, st.integers(0, 400_000)))


def is_packed(name: str) -> bool:
    """Return whether packing neither refuses nor leaves out a file with this name."""
    if name.endswith("/"):
        return False
    try:
        check_name(name, LIMITS)
    except BadBundle:
        return False
    parts = name.split("/")
    left_out = any(part.startswith(".") or part in ("__pycache__", "node_modules", "pyvenv.cfg") or part.endswith(".pyc") for part in parts)
    return not left_out and not is_junk(name)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    tree = {"main.py": PROGRAM}
    for name in draw(st.lists(paths.filter(is_packed), max_size=8)):
        try:
            check_collisions([*tree, name])
        except BadBundle:
            continue
        if name.rpartition("/")[2].lower() != "requirements.txt":
            tree[name] = draw(contents)
    return tree


def read_back(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@held(15, 60, trees())
def test_any_acceptable_folder_is_unpacked_as_it_was_packed(tree: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, path, work = Path(name, "folder"), Path(name, "b.zip"), Path(name, "work")
        for file, content in tree.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        packed = pack(folder, limits=LIMITS)
        path.write_bytes(packed.content)
        work.mkdir()
        assert bundle.inspect(path, LIMITS).entrypoint == "main.py"
        bundle.unpack(path, work)
        assert packed.left_out == ()
        assert read_back(work) == tree
        assert pack(work, limits=LIMITS).content == packed.content
        assert bundle.changed_files(path, work) == []
        bundle.remove_unchanged(path, work)
        assert list(work.iterdir()) == []


def valid_bundle() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("main.py", PROGRAM)
        written.writestr("requirements.txt", "a==1\nb>=2 ; python_version > '3'\n")
        with written.open("sub/data.bin", "w", force_zip64=True) as entry:
            entry.write(bytes(range(256)))
        written.mkdir("empty")
    return buffer.getvalue()


VALID = valid_bundle()
positions = st.integers(0, len(VALID) - 1)
flips = st.lists(st.tuples(positions, st.integers(0, 255)), min_size=1, max_size=6)


def flipped(changes: list[tuple[int, int]]) -> bytes:
    content = bytearray(VALID)
    for position, value in changes:
        content[position] = value
    return bytes(content)


damaged = st.one_of(
    flips.map(flipped),
    positions.map(lambda position: VALID[:position]),
    positions.map(lambda position: VALID[position:]),
    st.tuples(positions, positions).map(lambda cut: VALID[: min(cut)] + VALID[max(cut) :]),
    st.tuples(positions, st.binary(min_size=1, max_size=40)).map(lambda put: VALID[: put[0]] + put[1] + VALID[put[0] :]),
    st.binary(max_size=200),
)


@held(100, 400, damaged)
def test_a_damaged_bundle_is_refused_or_stays_inside_its_folder(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, work = Path(name, "b.zip"), Path(name, "around", "work")
        work.mkdir(parents=True)
        path.write_bytes(content)
        try:
            bundle.inspect(path, LIMITS)
        except (BadBundle, BadRequirement) as error:
            assert error.hint  # noqa: PT017 - either outcome is right
            return
        bundle.unpack(path, work)
        assert (work / "main.py").exists()
        assert sorted(item.name for item in Path(name).iterdir()) == ["around", "b.zip"]
        assert [item.name for item in work.parent.iterdir()] == ["work"]
        assert not any(item.is_symlink() for item in work.rglob("*"))


@held(50, 150, damaged)
def test_unpacking_alone_withstands_the_same_damage(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, work = Path(name, "b.zip"), Path(name, "work")
        work.mkdir()
        path.write_bytes(content)
        with suppress(BadBundle, FileExistsError, NotADirectoryError):
            bundle.unpack(path, work)
        assert sorted(item.name for item in Path(name).iterdir()) == ["b.zip", "work"]


@held(30, 80, st.binary(min_size=1, max_size=300), st.integers(1, 6000), st.integers(0, 9))
def test_content_of_any_compression_ratio_is_inflated_completely(seed: bytes, repeats: int, level: int) -> None:
    data = seed * repeats
    packed = zlib.compress(data, level, -15)
    entry = archive.Entry("x", b"x", 0, archive.DEFLATED, zlib.crc32(data), len(packed), len(data), 0, 0)
    assert b"".join(archive.read_content(lambda offset, count: packed[offset : offset + count], entry)) == data


requirement_texts = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=60).map(str.encode),
    st.lists(
        st.sampled_from(
            ["a", "-", "--pre", "=", "==", "1.0", " ", ";", "\\", "\n", "#", "@", "https://", "git+", "[", "]", "${A}", "'", "("]
        )
    ).map(lambda parts: "".join(parts).encode()),
)


@held(80, 300, requirement_texts)
def test_requirements_are_refused_or_parsed_to_stable_lines(content: bytes) -> None:
    try:
        lines = parse_requirements(content).lines
    except BadRequirement as error:
        assert 1 <= error.details["line"] <= content.count(b"\n") + content.count(b"\r") + 1  # noqa: PT017 - either outcome is right
        return
    assert parse_requirements("\n".join(lines).encode()).lines == lines

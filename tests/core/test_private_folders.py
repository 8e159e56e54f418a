"""Folders in which other accounts may write, and folders of other accounts: a store's and the cache's."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchlite import BadArgument, Client
from orchlite.core import folders, private_folders

_OTHER = 12345
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another account")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _secure(path: Path, **options: bool) -> None:
    private_folders.secure(path, "the store", allow_foreign_owner=options.get("allow_foreign_owner", False))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir(mode=0o700)
    (path / "bundles").mkdir(mode=0o700)
    return path


class TestAFolderOfOurs:
    @pytest.mark.parametrize("mode", [0o700, 0o500, 0o755, 0o750, 0o711])
    def test_in_which_nobody_else_may_write_stays_as_it_is(self, folder: Path, mode: int, caplog: pytest.LogCaptureFixture) -> None:
        folder.chmod(mode)
        _secure(folder)
        assert (_mode(folder), caplog.records) == (mode, [])
        folder.chmod(0o700)

    @pytest.mark.parametrize("mode", [0o777, 0o770, 0o775, 0o702, 0o1777, 0o2775])
    def test_in_which_others_may_write_is_closed_with_a_line(self, folder: Path, mode: int, caplog: pytest.LogCaptureFixture) -> None:
        folder.chmod(mode)
        _secure(folder)
        assert _mode(folder) & 0o777 == 0o700
        assert [(record.levelno, str(folder) in record.getMessage()) for record in caplog.records] == [(logging.WARNING, True)]
        caplog.clear()
        _secure(folder)
        assert caplog.records == []

    def test_is_closed_below_a_top_that_others_may_read(self, folder: Path) -> None:
        folder.chmod(0o755)
        (folder / "bundles").chmod(0o777)
        _secure(folder)
        assert (_mode(folder), _mode(folder / "bundles")) == (0o755, 0o700)

    def test_is_not_examined_below_a_top_that_is_closed(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        (folder / "bundles").chmod(0o777)
        _secure(folder)
        assert (_mode(folder / "bundles"), caplog.records) == (0o777, [])

    def test_is_closed_through_a_link_that_names_it(self, folder: Path, tmp_path: Path) -> None:
        folder.chmod(0o777)
        (tmp_path / "link").symlink_to(folder)
        _secure(tmp_path / "link")
        assert _mode(folder) == 0o700


@as_root
class TestAFolderOfAnotherAccount:
    def test_is_refused_with_the_command_that_mends_it(self, folder: Path) -> None:
        os.chown(folder, _OTHER, _OTHER)
        with pytest.raises(
            BadArgument, match=rf"The store .*belongs to account {_OTHER}.*sudo chown -R 0 .*ORCHLITE_ALLOW_FOREIGN_OWNER=1"
        ):
            _secure(folder)

    @pytest.mark.parametrize("plant", [lambda path: path.mkdir(), lambda path: path.write_text("x"), lambda path: path.symlink_to("/tmp")])
    @pytest.mark.parametrize("place", ["planted", "bundles/planted"])
    def test_that_lies_in_one_that_was_open_is_refused(self, folder: Path, plant: Callable[[Path], object], place: str) -> None:
        for path in (folder, folder / "bundles"):
            path.chmod(0o777)
        plant(folder / place)
        os.chown(folder / place, _OTHER, _OTHER, follow_symlinks=False)
        with pytest.raises(BadArgument, match="planted"):
            _secure(folder)
        assert _mode(folder) == 0o777

    def test_is_opened_by_root_that_allows_it_and_closed_too(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        os.chown(folder / "bundles", _OTHER, _OTHER)
        os.chown(folder, _OTHER, _OTHER)
        folder.chmod(0o770)
        _secure(folder, allow_foreign_owner=True)
        assert _mode(folder) == 0o700
        with pytest.raises(BadArgument, match="belongs to"):
            Client(folder)
        Client(folder, allow_foreign_owner=True).close()
        monkeypatch.setenv("ORCHLITE_ALLOW_FOREIGN_OWNER", "1")
        Client(folder).close()

    @pytest.mark.parametrize("value", ["", "0", "true"])
    def test_is_allowed_by_one_value_of_the_variable_only(self, folder: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("ORCHLITE_ALLOW_FOREIGN_OWNER", value)
        assert not private_folders.allows_foreign_owner()

    def test_is_not_opened_by_others_even_where_they_allow_it(self) -> None:
        program = (
            "import os, sys, pathlib; from orchlite.core.private_folders import secure; os.setuid(int(sys.argv[2]))\n"
            "secure(pathlib.Path(sys.argv[1]), 'the store', allow_foreign_owner=True)"
        )
        with tempfile.TemporaryDirectory() as reachable:  # pytest's own folders are closed to others
            Path(reachable).chmod(0o755)
            command = [sys.executable, "-c", program, reachable, str(_OTHER)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "belongs to account 0" in ended.stderr
        assert "ORCHLITE_ALLOW_FOREIGN_OWNER" not in ended.stderr

    def test_is_no_cache(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHLITE_CACHE", str(folder))
        os.chown(folder, _OTHER, _OTHER)
        with pytest.raises(BadArgument, match=r"The cache .* belongs to account"):
            Client(tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def test_keeps_what_it_holds_when_it_is_refused(self, folder: Path) -> None:
        os.chown(folder, _OTHER, _OTHER)
        with pytest.raises(BadArgument):
            Client(folder)
        assert [path.name for path in folder.iterdir()] == ["bundles"]


class TestTheCache:
    def test_is_made_when_a_client_opens_so_that_nobody_else_makes_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHLITE_CACHE", str(tmp_path / "cache"))
        Client(tmp_path / "store").close()
        assert _mode(tmp_path / "cache") == 0o700

    def test_that_cannot_be_made_keeps_no_client_from_opening(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHLITE_CACHE", "/proc/nowhere/cache")
        assert folders.own_cache_folder() == Path("/proc/nowhere/cache")

    def test_in_which_others_may_write_is_closed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cache = tmp_path / "cache"
        (cache / "sdk").mkdir(parents=True)
        for path in (cache, cache / "sdk"):
            path.chmod(0o777)
        monkeypatch.setenv("ORCHLITE_CACHE", str(cache))
        Client(tmp_path / "store").close()
        assert (_mode(cache), _mode(cache / "sdk")) == (0o700, 0o700)

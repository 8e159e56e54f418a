"""What is checked before a store is used: its owner, its file system, and that its file is still the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import orchlite
from orchlite.core import folders


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another account")
def test_the_store_of_another_account_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    os.chown(tmp_path / "store", 12345, 12345)
    with pytest.raises(orchlite.BadArgument, match=r"belongs to account 12345, and this process to 0\. A store belongs to one account"):
        orchlite.Client(tmp_path / "store")
    assert not (tmp_path / "store" / "store.sqlite").exists()


@pytest.mark.parametrize("kind", ["nfs4", "nfs", "cifs", "smb3", "9p", "fuse.sshfs", "lustre"])
def test_a_network_file_system_is_refused(kind: str) -> None:
    assert folders.is_network_file_system(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "fuseblk", ""])
def test_local_and_unknown_file_systems_are_accepted(kind: str) -> None:
    assert not folders.is_network_file_system(kind)


def test_the_file_system_of_a_folder_is_found() -> None:
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("this system does not say")
    assert folders.file_system_type(Path("/proc").stat().st_dev) == "proc"


def test_a_store_that_was_replaced_while_it_is_open_says_so_and_writes_nothing(tmp_path: Path) -> None:
    with orchlite.Client(tmp_path / "other") as other:
        other.create_workspace("theirs")
    client = orchlite.Client(tmp_path / "store")
    before = (tmp_path / "other" / "store.sqlite").read_bytes()
    shutil.copy(tmp_path / "other" / "store.sqlite", tmp_path / "copy")
    (tmp_path / "copy").replace(tmp_path / "store" / "store.sqlite")
    with pytest.raises(orchlite.StoreDamaged, match="replaced by another file"):
        client.create_workspace("ours")
    with pytest.raises(orchlite.StoreDamaged, match="replaced by another file"):
        client.list_workspaces()
    client.close(drain=False)
    assert (tmp_path / "store" / "store.sqlite").read_bytes() == before

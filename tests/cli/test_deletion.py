"""The verb `orchestrations delete`, and changes of connections."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]
MakeFolder = Callable[..., Path]


class TestOrchestrations:
    @pytest.fixture
    def uploaded(self, call: Call, folder: MakeFolder) -> list[str]:
        """The ids of three orchestrations; the second has a run."""
        paths = [folder(f"print({number})") for number in range(3)]
        ids = [call("upload", path).stdout.strip() for path in paths]
        call("run", ids[1])
        return ids

    def test_are_deleted_with_their_runs(self, call: Call, uploaded: list[str]) -> None:
        deleted = call("orchestrations", "delete", uploaded[0][:8], uploaded[1])
        assert deleted.stdout == f"deleted {uploaded[0][:8]}\ndeleted {uploaded[1][:8]}\n"
        assert [one["id"] for one in json.loads(call("orchestrations", "--json").stdout)] == uploaded[2:]
        assert json.loads(call("runs", "--json").stdout) == []

    def test_are_named_in_json(self, call: Call, uploaded: list[str]) -> None:
        deleted = call("orchestrations", "delete", uploaded[0], "bundle-0", "--json")
        assert json.loads(deleted.stdout) == [{"id": uploaded[0], "deleted": True}]

    def test_are_all_kept_if_one_is_in_use(self, call: Call, uploaded: list[str]) -> None:
        call("schedule", uploaded[2], "@daily", "--name", "nightly")
        refused = call("orchestrations", "delete", *uploaded)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "has an active task" in refused.stderr
        assert "None was deleted" in refused.stderr
        assert len(json.loads(call("orchestrations", "--json").stdout)) == 3

    @pytest.mark.slow
    def test_are_kept_while_a_task_has_runs_of_them(self, call: Call, uploaded: list[str], store: Path) -> None:
        with orchlite.Client(store) as client:
            old, new = (client.get_orchestration_by_id(uploaded[number]) for number in (0, 2))
            task = old.run_continuously("poller")
            task.wait()
            task.replace(new)
            refused = call("orchestrations", "delete", uploaded[0])
            task.kill()
        assert "before it was replaced. `orchlite prune` removes old runs." in refused.stderr

    def test_of_one_name_are_not_deleted_by_it(self, call: Call, folder: MakeFolder) -> None:
        path = folder("print(1)")
        call("upload", path)
        (path / "main.py").write_text("print(2)")
        call("upload", path)
        refused = call("orchestrations", "delete", path.name)
        assert (refused.exit_code, "means 2 things" in refused.stderr) == (2, True)

    def test_that_do_not_exist_are_refused(self, call: Call, uploaded: list[str]) -> None:
        assert call("orchestrations", "delete", uploaded[0], "nosuch").exit_code == 2
        assert len(json.loads(call("orchestrations", "--json").stdout)) == 3


class TestConnections:
    @pytest.fixture
    def details(self, store: Path) -> Callable[[], dict[str, object]]:
        def read() -> dict[str, object]:
            with orchlite.Client(store) as client:
                return client.get_connection("warehouse").details()

        return read

    def test_are_updated_by_what_is_given(self, call: Call, details: Callable[[], dict[str, object]]) -> None:
        call("connections", "create", "warehouse", "sql", "--detail", "host=a", "--detail", "port:=1")
        updated = call("connections", "update", "warehouse", "--detail", "port:=2", "--type", "postgres")
        assert (updated.exit_code, updated.stdout) == (0, "warehouse\n")
        assert details() == {"host": "a", "port": 2}
        [listed] = json.loads(call("connections", "--json").stdout)
        assert (listed["type"], listed["workspaces"]) == ("postgres", ["default"])

    @pytest.mark.parametrize(
        ("words", "said"), [(["warehouse"], "nothing to change"), (["nosuch", "--detail", "a=b"], "`orchlite connections` lists them")]
    )
    def test_are_not_updated_without_details_or_a_connection(self, call: Call, words: list[str], said: str) -> None:
        call("connections", "create", "warehouse", "sql")
        refused = call("connections", "update", *words)
        assert (refused.exit_code, said in refused.stderr) == (2, True)

    def test_that_exist_are_refused_with_both_ways_out(self, call: Call) -> None:
        for _ in range(2):
            refused = call("connections", "create", "warehouse", "sql")
        assert "`orchlite connections update warehouse --detail KEY=VALUE` changes that one" in refused.stderr
        assert "`orchlite connections delete warehouse` removes it" in refused.stderr

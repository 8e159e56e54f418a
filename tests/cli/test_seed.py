"""The verb `seed`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import orchlite

Call = Callable[..., Result]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    (tmp_path / "step.py").write_text("def process_data(columns):\n    return columns\n")
    path = tmp_path / "scene.toml"
    path.write_text('[models.step]\npath = "step.py"\n\n[pipelines.echo]\nsteps = ["step"]\n')
    return path


def test_it_prints_each_change_and_a_second_call_changes_nothing(call: Call, store: Path, scene: Path) -> None:
    lines = call("seed", scene).stdout.splitlines()
    assert [line.rpartition(" ")[0] for line in lines] == [
        "model step in default: uploaded, version",
        "pipeline echo in default: created, deployed, version",
    ]
    again = call("seed", scene)
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "orchlite: nothing to change\n")
    with orchlite.Client(store) as wl:
        assert lines[0].endswith(wl.get_model("step").version())


def test_changes_as_json_have_the_documented_fields(call: Call, scene: Path) -> None:
    [model, pipeline] = json.loads(call("seed", scene, "--json").stdout)
    assert set(model) == set(pipeline) == {"kind", "name", "workspace", "what", "version"}
    assert json.loads(call("seed", scene, "--json").stdout) == []


def test_it_seeds_the_workspace_that_is_named(call: Call, scene: Path) -> None:
    call("workspaces", "create", "reports")
    assert "model step in reports: uploaded" in call("seed", scene, "--workspace", "reports").stdout
    assert call("models").stderr == "orchlite: none found\n"


def test_a_scene_that_is_refused_is_one_line_with_its_place(call: Call, scene: Path) -> None:
    scene.write_text(scene.read_text().replace('["step"]', '["other"]'))
    refused = call("seed", scene)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == "orchlite: scene.toml, line 5, pipelines.echo.steps[0]: There is no model 'other'. Its workspace has step.\n"
    told = json.loads(call("seed", scene, "--json").stderr)["error"]
    assert (told["kind"], told["details"]["line"], told["details"]["key"]) == ("BadScene", 5, "pipelines.echo.steps[0]")


def test_a_scene_that_is_not_there_is_refused(call: Call) -> None:
    refused = call("seed", "none.toml")
    assert refused.exit_code == 2
    assert "none.toml' cannot be read: No such file or directory. Give the path of a TOML file." in refused.stderr

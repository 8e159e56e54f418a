"""`Client.seed`: what a scene makes of a store, again and again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest

from orchlite import BadArgument, BadScene, Client, Limits
from orchlite.client.client import engine_of
from orchlite.operations import seeding

Seed = Callable[..., list[str]]

_STEP = "def process_data(columns):\n    return {{'x': columns['x'] * {factor}}}\n"
_SCENE = """
[models.first]
path = "models/first.py"

[models.second]
path = "models/second.py"

[pipelines.plain]
steps = ["first", "second"]

[pipelines.canary]
steps = [
    { champion = "first", challengers = ["second"] },
]

[pipelines.split]
steps = [{ split = { first = 2, second = 0.5 }, hash_key = "key" }]
deployed = false

[workspaces.reports.models.first]
path = "models/second.py"

[workspaces.reports.pipelines.plain]
steps = ["first"]

[connections.warehouse]
type = "HTTP"
details = { host = "db", port = 1 }
workspaces = ["default", "reports"]
"""


@pytest.fixture
def wl(temporary_client: Callable[..., Client]) -> Iterator[Client]:
    with temporary_client() as client:
        yield client


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for name, factor in (("first", 2), ("second", 3)):
        (folder / f"{name}.py").write_text(_STEP.format(factor=factor))
    return folder


@pytest.fixture
def seed(wl: Client, models: Path, tmp_path: Path) -> Seed:
    """Seed the store with a scene of this text; return what has changed, without the versions."""

    def seeded(text: str = _SCENE) -> list[str]:
        (tmp_path / "scene.toml").write_text(text)
        return [str(change).partition(", version")[0] for change in wl.seed(tmp_path / "scene.toml")]

    return seeded


def _count(wl: Client) -> tuple[int, ...]:
    of_models, of_pipelines = ([len(each.versions()) for each in found] for found in (wl.list_models(), wl.list_pipelines()))
    return *of_models, *of_pipelines, len(wl.events()), len(wl.list_connections()), len(wl.list_workspaces())


class TestAnEmptyStore:
    def test_gets_what_the_scene_says_and_each_change_is_told(self, seed: Seed) -> None:
        assert seed() == [
            "workspace reports: created",
            "connection warehouse: created, listed in default, reports",
            "model first in default: uploaded",
            "model second in default: uploaded",
            "pipeline plain in default: created, deployed",
            "pipeline canary in default: created, deployed",
            "pipeline split in default: created",
            "model first in reports: uploaded",
            "pipeline plain in reports: created, deployed",
        ]

    def test_gets_chains_shadow_deployments_and_splits(self, wl: Client, seed: Seed) -> None:
        seed()
        first, second = wl.get_model("first"), wl.get_model("second")
        like = {
            "plain": wl.build_pipeline("a").add_model_step(first).add_model_step(second),
            "canary": wl.build_pipeline("b").add_shadow_deploy(first, [second]),
            "split": wl.build_pipeline("c").add_random_split([(2, first), (0.5, second)], "key"),
        }
        for name, pipeline in like.items():
            assert wl.get_pipeline(name).steps() == pipeline.steps()
        assert [wl.get_pipeline(name).status()["status"] for name in like] == ["Running", "Running", "Pipeline split is not deployed"]

    def test_infers_with_a_pipeline_of_the_scene(self, wl: Client, seed: Seed) -> None:
        seed()
        assert wl.get_pipeline("plain").infer([{"x": 1.0}]) == [{"x": 6.0}]

    def test_gets_connections_that_workspaces_list(self, wl: Client, seed: Seed) -> None:
        seed()
        [warehouse] = wl.get_workspace("reports").list_connections()
        assert (warehouse.details(), warehouse.workspace_names()) == ({"host": "db", "port": 1}, ["default", "reports"])

    def test_gets_what_is_outside_of_workspaces_in_the_current_one(self, wl: Client, seed: Seed) -> None:
        wl.set_current_workspace(wl.create_workspace("mine"))
        seed('[models.first]\npath = "models/first.py"\n[connections.http]\ntype = "HTTP"')
        assert [one.name() for one in wl.list_models()] == ["first"]
        assert wl.get_connection("http").workspace_names() == ["mine"]

    def test_gets_the_schemas_of_models(self, wl: Client, seed: Seed) -> None:
        text = '[models.first]\npath = "models/first.py"\ninput_schema = { x = "int32" }\noutput_schema = { x = "list<float>" }\n'
        assert seed(text) == ["model first in default: uploaded"]
        row = wl._engine.store.models.newest_version(wl.list_models()[0].id())
        assert row is not None
        read = [pa.ipc.read_schema(pa.py_buffer(each)) for each in (row.input_schema, row.output_schema)]
        assert read == [pa.schema([("x", pa.int32())]), pa.schema([("x", pa.list_(pa.float32()))])]
        assert seed(text) == []
        assert seed(text.replace("int32", "int64")) == ["model first in default: the schemas have changed"]
        assert seed('[models.first]\npath = "models/first.py"') == ["model first in default: the schemas have changed"]


class TestASecondTime:
    def test_nothing_changes(self, wl: Client, seed: Seed) -> None:
        seed()
        before = _count(wl)
        assert seed() == []
        assert _count(wl) == before

    def test_a_changed_file_makes_new_versions_of_the_model_and_its_pipelines(self, wl: Client, seed: Seed, models: Path) -> None:
        seed()
        (models / "first.py").write_text(_STEP.format(factor=5))
        assert seed() == [
            "model first in default: the file has changed",
            "pipeline plain in default: the steps have changed, deployed",
            "pipeline canary in default: the steps have changed, deployed",
            "pipeline split in default: the steps have changed",
        ]
        assert wl.get_pipeline("plain").status()["engines"][0]["model_statuses"]["models"][0]["version"] == wl.get_model("first").version()
        assert seed() == []

    def test_changes_name_the_new_versions(self, wl: Client, seed: Seed, models: Path, tmp_path: Path) -> None:
        seed()
        (models / "first.py").write_text(_STEP.format(factor=5))
        model, plain, *_ = wl.seed(tmp_path / "scene.toml")
        assert (model.kind, model.name, model.workspace, model.version) == ("model", "first", "default", wl.get_model("first").version())
        assert plain.version == wl.get_pipeline("plain").versions()[0].name()
        assert str(plain).endswith(f", version {plain.version}")

    def test_changed_tensor_fields_make_a_new_version(self, wl: Client, seed: Seed) -> None:
        scene = '[models.first]\npath = "models/first.py"\n'
        seed(scene)
        assert seed(scene + 'tensor_fields = ["x"]') == ["model first in default: the tensor fields have changed"]
        assert wl.get_model("first").tensor_fields() == ["x"]
        assert seed(scene + 'tensor_fields = ["x"]') == []

    def test_changed_steps_make_a_new_version(self, wl: Client, seed: Seed) -> None:
        seed()
        assert seed(_SCENE.replace('["first", "second"]', '["second"]')) == ["pipeline plain in default: the steps have changed, deployed"]

    def test_what_a_program_has_undeployed_or_deployed_is_as_the_scene_says(self, wl: Client, seed: Seed) -> None:
        seed()
        wl.get_pipeline("plain").undeploy()
        wl.get_pipeline("split").deploy()
        assert seed() == ["pipeline plain in default: deployed", "pipeline split in default: undeployed"]

    def test_a_version_without_steps_on_top_is_one_change(self, wl: Client, seed: Seed) -> None:
        seed()
        wl.build_pipeline("plain")
        assert seed() == ["pipeline plain in default: the steps have changed"]
        assert (wl.get_pipeline("plain").status()["status"], seed()) == ("Running", [])

    def test_a_changed_connection_is_replaced_and_listed_where_it_was(self, wl: Client, seed: Seed) -> None:
        seed()
        wl.create_workspace("third").add_connection("warehouse")
        assert seed(_SCENE.replace('"db"', '"other"')) == ["connection warehouse: replaced, because it has changed"]
        warehouse = wl.get_connection("warehouse")
        assert (warehouse.details()["host"], warehouse.workspace_names()) == ("other", ["default", "reports", "third"])

    def test_what_the_scene_does_not_name_stays(self, wl: Client, seed: Seed) -> None:
        seed()
        before = _count(wl)
        assert seed('[pipelines.plain]\nsteps = ["first", "second"]') == []
        assert _count(wl) == before


def _refused(seed: Seed, wl: Client, text: str) -> BadScene:
    before = _count(wl)
    with pytest.raises(BadScene) as caught:
        seed(text)
    assert _count(wl) == before, "something was stored"
    return caught.value


class TestARefusedScene:
    @pytest.mark.parametrize(
        ("old", "new", "line", "key", "words"),
        [
            ('"models/first.py"', '"models/none.py"', 3, "models.first.path", "none.py' cannot be read: No such file"),
            ('"models/first.py"', '"models"', 3, "models.first.path", "it is not a regular file"),
            ('"models/first.py"', "3", 3, "models.first.path", "It takes a text."),
            ('path = "models/first.py"', "", 2, "models.first", "path is missing"),
            ('path = "models/first.py"', 'path = "models/first.py"\nframework = "keras"', 4, "models.first.framework", "'keras'"),
            ('path = "models/first.py"', 'path = "models/first.py"\nframework = "onnx"', 3, "models.first.path", "no ONNX model"),
            (
                'path = "models/first.py"',
                'path = "models/first.py"\ninput_schema = { x = "text" }',
                4,
                "models.first.input_schema",
                "has the type 'text'. It takes columns with",
            ),
            (
                'path = "models/first.py"',
                'path = "models/first.py"\ninput_schema = ["x"]',
                4,
                "models.first.input_schema",
                "input_schema is ['x']",
            ),
            (
                'path = "models/first.py"',
                'path = "models/first.py"\ninput_schema = { x = 1 }',
                4,
                "models.first.input_schema",
                "has the type 1.",
            ),
            (
                'path = "models/first.py"',
                'path = "models/first.py"\ntensor_fields = "x"',
                4,
                "models.first.tensor_fields",
                "list of strings",
            ),
            (
                'path = "models/first.py"',
                'path = "models/first.py"\npaht = 1',
                4,
                "models.first.paht",
                "Known are framework, input_schema, output_schema, path, tensor_fields",
            ),
            ("[models.first]", "[models.9first]", 2, "models.9first", "not a valid name"),
            ("[models.first]", '[models."a b"]', 2, "models.'a b'", "not a valid name"),
            ("[models.first]", "[modles.first]", 2, "modles", "Known are connections, models, pipelines, workspaces"),
            ("[pipelines.plain]", "[pipelines.Plain]", 8, "pipelines.Plain", "lower-case"),
            (
                '["first", "second"]',
                '["first", "third"]',
                9,
                "pipelines.plain.steps[1]",
                "'third'. Its workspace has first",
            ),
            ('["first", "second"]', '[\n"first",\n# no such\n"third",\n]', 12, "pipelines.plain.steps[1]", "'third'"),
            ('["first", "second"]', "[]", 9, "pipelines.plain.steps", "not empty"),
            ('["first", "second"]', "[1]", 9, "pipelines.plain.steps[0]", "champion"),
            ("deployed = false", "deployed = 0", 18, "pipelines.split.deployed", "true or false"),
            ('challengers = ["second"]', 'challengers = ["third"]', 13, "pipelines.canary.steps[0]", "'third'"),
            ('challengers = ["second"]', 'challengers = ["first"]', 13, "pipelines.canary.steps[0]", "one name"),
            ('challengers = ["second"]', 'challengers = "second"', 13, "pipelines.canary.steps[0].challengers", "array of texts"),
            ('champion = "first", ', 'champion = "first", split = 1, ', 13, "pipelines.canary.steps[0].split", "not known"),
            ("first = 2", "first = 0", 17, "pipelines.split.steps[0].split.first", "The weight is 0"),
            ("first = 2", "first = inf", 17, "pipelines.split.steps[0].split.first", "positive"),
            ("first = 2", "third = 2", 17, "pipelines.split.steps[0].split.third", "'third'"),
            ("{ first = 2, second = 0.5 }", "{}", 17, "pipelines.split.steps[0].split", "empty"),
            ("[workspaces.reports.models.first]", '[workspaces."§".models.first]', 20, "workspaces.'§'", "not a valid name"),
            ('steps = ["first"]', 'steps = ["second"]', 24, "workspaces.reports.pipelines.plain.steps[0]", "'second'"),
            ('type = "HTTP"', "", 26, "connections.warehouse", "type is missing"),
            ('{ host = "db", port = 1 }', "1979-05-27", 28, "connections.warehouse.details", "dictionary"),
            ("port = 1", "port = nan", 28, "connections.warehouse.details", "not JSON"),
            ('["default", "reports"]', '["default", "none"]', 29, "connections.warehouse.workspaces", "[workspaces.none] creates it"),
        ],
    )
    def test_is_told_by_line_and_key_and_stores_nothing(
        self, seed: Seed, wl: Client, old: str, new: str, line: int, key: str, words: str
    ) -> None:
        assert old in _SCENE
        error = _refused(seed, wl, _SCENE.replace(old, new, 1))
        assert (error.details["line"], error.details["key"]) == (line, key)
        assert str(error).startswith(f"scene.toml, line {line}, {key}: ")
        assert words in str(error)

    @pytest.mark.parametrize(("text", "line"), [("[models.a]\npath = ", 2), ("a = 1\na = 2", 2), ("a = [\n1,\n", 3), ("[" * 5000, 1)])
    def test_that_is_not_toml_is_told_by_line(self, seed: Seed, wl: Client, text: str, line: int) -> None:
        error = _refused(seed, wl, text)
        assert error.details["line"] == line
        assert "scene.toml is not TOML" in str(error)

    def test_shows_no_detail_of_a_connection(self, seed: Seed, wl: Client) -> None:
        for text in ('"hidden-word"', '{ a = { b = "hidden-word", c = nan } }', '["hidden-word"]'):
            error = _refused(seed, wl, f'[connections.a]\ntype = "HTTP"\ndetails = {text}')
            assert "hidden-word" not in str(error) + str(error.details) + str(error.__cause__)
        assert "hidden-word" not in str(_refused(seed, wl, '[connections]\na = "hidden-word"'))

    def test_may_have_a_name_twice_in_two_workspaces_but_not_in_one(self, seed: Seed, wl: Client) -> None:
        twice = '[models.first]\npath = "models/first.py"\n[workspaces.default.models.first]\npath = "models/second.py"'
        error = _refused(seed, wl, twice)
        assert (error.details["line"], error.details["key"]) == (3, "workspaces.default.models.first")

    def test_has_a_model_above_the_limit(self, models: Path) -> None:
        (models.parent / "scene.toml").write_text('[models.first]\npath = "models/first.py"')
        with Client.temporary(limits=Limits(model_bytes=10)) as wl:
            with pytest.raises(BadScene, match=r"line 2, models\.first\.path: .*the limit is 10"):
                wl.seed(models.parent / "scene.toml")
            assert wl.list_models() == []

    def test_is_found_quickly_in_a_long_file(self, seed: Seed, wl: Client) -> None:
        many = "".join(f'[connections.c{number}]\ntype = "HTTP"\n' for number in range(2000))
        assert _refused(seed, wl, f"{many}[models.first]\n").details["line"] == 4001


def test_a_file_that_cannot_be_read_is_refused(wl: Client, tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    (tmp_path / "long.toml").write_text("#" * (1024 * 1024 + 1))
    for path in (tmp_path, tmp_path / "none.toml", tmp_path / "latin.toml", tmp_path / "long.toml", 3, ""):
        with pytest.raises(BadArgument):
            wl.seed(path)  # type: ignore[arg-type]


def test_paths_are_relative_to_the_scene(wl: Client, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scene.toml").write_bytes('\ufeff[models.first]\r\npath = "models/first.py"\r\n'.encode())
    monkeypatch.chdir(models)
    assert len(wl.seed("../scene.toml")) == 1
    assert wl.get_model("first").file_name() == "first.py"


def test_an_onnx_file_and_a_zip_are_recognized_by_their_names(seed: Seed, wl: Client, models: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "examples" / "models" / "house_prices.onnx", models / "prices.onnx")
    shutil.make_archive(str(models / "step"), "zip", models, "first.py")
    seed('[models.prices]\npath = "models/prices.onnx"\n[models.step]\npath = "models/step.zip"')
    assert [wl.get_model(name).framework() for name in ("prices", "step")] == ["onnx", "python"]


def test_changes_show_as_a_table_in_a_notebook(wl: Client, models: Path, tmp_path: Path) -> None:
    (tmp_path / "scene.toml").write_text('[models.first]\npath = "models/first.py"')
    changes = wl.seed(tmp_path / "scene.toml")
    assert changes._repr_html_().startswith("<table><tr><th>kind</th>")
    assert changes[0]._repr_html_() == changes._repr_html_()
    assert wl.seed(tmp_path / "scene.toml")._repr_html_() == "(empty)"


def test_a_step_may_name_a_model_that_the_store_has_already(seed: Seed, wl: Client, models: Path) -> None:
    wl.upload_model("third", models / "first.py", "python")
    assert seed('[pipelines.plain]\nsteps = ["third"]') == ["pipeline plain in default: created, deployed"]


def test_what_was_stored_before_an_interruption_stays_and_the_next_call_does_the_rest(seed: Seed, wl: Client, tmp_path: Path) -> None:
    (tmp_path / "scene.toml").write_text(_SCENE)
    first = list(islice(seeding.seed(engine_of(wl).context, tmp_path / "scene.toml", "default"), 3))
    rest = seed()
    assert (len(first), len(rest), seed()) == (3, 6, [])

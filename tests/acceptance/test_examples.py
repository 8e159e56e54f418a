"""Every folder of `examples/` is run as its README line says."""

from __future__ import annotations

import configparser
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import onnx
import pyarrow as pa
import pytest

import orchlite
from orchlite import Pipeline

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def client() -> Iterator[orchlite.Client]:
    with orchlite.Client.temporary() as client:
        yield client


def test_hello_greets_whom_its_arguments_name(client: orchlite.Client) -> None:
    run = client.run(EXAMPLES / "hello", {"name": "Ada"})
    assert (run.status(), str(run.logs())) == ("success", "Hello, Ada!\n")


@pytest.mark.slow
def test_report_makes_a_database_and_a_summary(client: orchlite.Client) -> None:
    run = client.run(EXAMPLES / "report", {"top": 2}).raise_for_failure()
    [made] = run.files()
    with sqlite3.connect(made) as database:
        [(count,)] = database.execute("SELECT COUNT(*) FROM sales").fetchall()
    database.close()
    table = [line.text.split() for line in run.logs()][3:5]
    assert (made.name, count, [row[0] for row in table]) == ("sales.sqlite", 1500, ["Avalon", "Borea"])


@pytest.mark.slow
def test_report_has_its_requirements_and_nothing_of_the_host_in_a_clean_environment() -> None:
    with orchlite.Client.temporary(base_image="clean") as client:
        orchestration = client.upload_orchestration(path=EXAMPLES / "report").wait()
        assert {line.split("==")[0] for line in orchestration.installed()} == {"python-dateutil", "six", "tabulate"}
        assert orchestration.run_once().wait().status() == "success"


def test_subfolder_finds_the_module_beside_its_main_and_the_files_of_the_root(client: orchlite.Client) -> None:
    log = client.run(EXAMPLES / "subfolder").raise_for_failure().logs()
    assert "total 12" in log
    assert "modules come from pipeline/" in log


def test_failing_ends_with_its_traceback(client: orchlite.Client) -> None:
    run = client.run(EXAMPLES / "failing")
    assert (run.status(), run.exit_code()) == ("failure", 1)
    assert str(run.logs()).endswith("RuntimeError: the warehouse is closed\n")


def test_connection_reports_on_what_its_connection_leads_to(client: orchlite.Client, tmp_path: Path) -> None:
    stock = tmp_path / "stock.csv"
    stock.write_text("item,there,wanted\nbolt,5,20\nnut,7,7\nwasher,0,3\n")
    client.create_connection("warehouse", "csv", {"url": stock.as_uri(), "user": "ada", "password": "hunter2"})
    run = client.run(EXAMPLES / "connection", {"connection": "warehouse"}).raise_for_failure()
    [report] = run.files()
    assert report.read_text().splitlines()[2:] == ["| bolt | 15 |", "| washer | 3 |"]
    assert str(run.logs()) == "3 items in warehouse, 2 to order: see to-order.md\n"


def driven(script: str) -> list[str]:
    """The lines that a script of the examples prints, which must succeed without a warning."""
    done = subprocess.run([sys.executable, "-W", "error", str(EXAMPLES / script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def priced(client: orchlite.Client, name: str, *challengers: str) -> Pipeline:
    """A pipeline of a model of house prices, perhaps with challengers in its shadow."""
    file = EXAMPLES / "models" / "house_prices.onnx"
    champion, *others = (client.upload_model(each, file).configure(tensor_fields=["tensor"]) for each in (name, *challengers))
    pipeline = client.build_pipeline(name)
    return (pipeline.add_shadow_deploy(champion, others) if others else pipeline.add_model_step(champion)).deploy().undeploy()


@pytest.mark.slow
def test_connector_infers_what_its_connection_leads_to_and_the_driver_reads_the_logs() -> None:
    houses, prices, _, *logs = driven("run_connector.py")
    assert houses == "3 houses from new-houses"
    assert prices == "3 prices by house-prices: 203000.0 to 583400.0, 394800.0 on average"
    assert logs == [
        "0   [2.0, 1.0, 60.0, 40.0]  [203000.0]",
        "1   [4.0, 3.0, 180.0, 2.0]  [583400.0]",
        "2  [3.0, 2.0, 120.0, 15.0]  [398000.0]",
    ]


def test_connector_undeploys_its_pipeline_though_the_table_does_not_fit(client: orchlite.Client, tmp_path: Path) -> None:
    pipeline, table = priced(client, "unfitting"), pa.table({"tensor": [[1.0, 2.0]]})
    with pa.ipc.new_file(tmp_path / "two.arrow", table.schema) as file:
        file.write(table)
    client.create_connection("two", "HTTP", {"url": (tmp_path / "two.arrow").as_uri(), "token": ""})
    workspace = client.get_current_workspace().name()
    run = client.run(EXAMPLES / "connector", {"workspace": workspace, "pipeline": "unfitting", "connection": "two"})
    assert run.status() == "failure"
    assert "wallaroo.exceptions.InferenceError: " in run.logs()
    assert pipeline.status() == {"status": "Pipeline unfitting is not deployed"}


@pytest.mark.slow
def test_new_model_shows_the_change_and_leaves_the_new_version_in_the_pipeline() -> None:
    replaced, *table, _, deployed, price = driven("run_new_model.py")
    assert replaced.startswith("house-prices: ")
    assert [line.split() for line in table] == [
        ["old", "new", "change"],
        ["0", "398000.0", "403000.0", "+1.3%"],
        ["1", "583400.0", "602600.0", "+3.3%"],
        ["2", "203000.0", "189000.0", "-6.9%"],
    ]
    assert (deployed, price) == ("deployed: the new version", "[{'price': [403000.0]}]")


@pytest.mark.slow
def test_shadow_report_writes_each_result_once_however_often_it_runs() -> None:
    first, second, *rows = driven("run_shadow_report.py")
    assert first.startswith("6 results of house-prices since ")
    assert second.startswith("6 results of house-prices since ")
    assert rows == [
        "[3.0, 2.0, 120.0, 15.0] champion 398000.0",
        "[3.0, 2.0, 120.0, 15.0] house-prices-by-area 408000.0",
        "[4.0, 3.0, 180.0, 2.0] champion 583400.0",
        "[4.0, 3.0, 180.0, 2.0] house-prices-by-area 582000.0",
        "[2.0, 1.0, 60.0, 40.0] champion 203000.0",
        "[2.0, 1.0, 60.0, 40.0] house-prices-by-area 234000.0",
    ]


@pytest.mark.slow
def test_shadow_report_has_the_results_before_and_after_a_change_of_challengers(client: orchlite.Client, tmp_path: Path) -> None:
    for challenger in ("first", "second"):
        pipeline = priced(client, "changed", challenger).deploy()
        pipeline.infer({"tensor": [[1.0, 1.0, 1.0, 1.0]]})
        time.sleep(0.002)  # logs have times to the millisecond
    database = tmp_path / "results.sqlite"
    client.create_connection("results", "SQL", {"url": f"sqlite:///{database}"})
    arguments = {"workspace": client.get_current_workspace().name(), "pipeline": "changed", "connection": "results"}
    client.run(EXAMPLES / "shadow_report", arguments).raise_for_failure()
    with closing(sqlite3.connect(database)) as results:
        models = [model for (model,) in results.execute("SELECT model FROM shadow_results ORDER BY at, model")]
    assert models == ["champion", "first", "champion", "second"]


@pytest.mark.slow
def test_the_models_are_what_their_script_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(EXAMPLES / "models" / "make_models.py"), str(tmp_path)], check=True, capture_output=True)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.onnx"))
    assert made == sorted(path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*.onnx"))
    for path in made:
        assert onnx.load(tmp_path / path) == onnx.load(EXAMPLES / path)


def test_every_example_has_a_line_about_itself_and_is_accepted(client: orchlite.Client) -> None:
    for folder in sorted(path for path in EXAMPLES.iterdir() if path.is_dir()):
        assert len((folder / "README.md").read_text().splitlines()) == 1
        if list(folder.rglob("main.py")):  # examples/service and examples/models have none
            assert client.upload_orchestration(path=folder).sha()


@pytest.mark.slow
def test_the_ten_lines_run_an_example_and_exit_with_its_code() -> None:
    command = [sys.executable, str(EXAMPLES / "run_local.py")]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    assert "1500 sales" in good.stdout
    assert "made ['sales.sqlite']" in good.stdout
    bad = subprocess.run([*command, str(EXAMPLES / "failing")], capture_output=True, text=True, check=False)
    assert bad.returncode == 1


@pytest.mark.slow
def test_nightly_keeps_its_nights_through_a_change_of_the_clocks() -> None:
    command = [sys.executable, str(EXAMPLES / "run_nightly.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *nights, summary = done.stdout.splitlines()
    assert [night.split(" success ")[0] for night in nights] == [
        "2026-03-28 01:30:00+00:00",
        "2026-03-29 01:00:00+00:00",  # 2:30 is not there in that night: it is run at 3:00, the first minute after
        "2026-03-30 00:30:00+00:00",
    ]
    assert summary.startswith("killed after 3 runs; kept: ")


@pytest.mark.slow
def test_the_service_is_told_to_stop_alone_and_comes_back() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(EXAMPLES / "service" / "orchlite.service")
    service = unit["Service"]
    assert (service["KillMode"], service["Restart"], unit["Install"]["WantedBy"]) == ("process", "always", "default.target")
    assert service["ExecStart"].endswith("/bin/orchlite start")
    assert service["RestartPreventExitStatus"] == "2"  # of `start` without a store
    assert "Environment" not in service  # the store is the command line's


@pytest.mark.slow
def test_the_service_runs_what_is_queued_until_it_is_told_to_stop(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with orchlite.Client(store) as client:
        task = client.upload_orchestration(path=EXAMPLES / "hello").wait().run_continuously("hello", {"name": "Ada"})
        client.close(drain=False)
    service = subprocess.Popen(
        [sys.executable, "-m", "orchlite", "start"],
        env={**os.environ, "ORCHLITE_STORE": str(store)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert service.stderr is not None
        assert any(line.startswith(f"orchlite: keeping the schedules of {store}; ") for line in service.stderr)
        with orchlite.Client(store) as client:
            count = len(client.get_task_by_id(task.id()).last_runs())
            while len(client.get_task_by_id(task.id()).last_runs(status="success")) < count + 2:
                assert service.poll() is None
                time.sleep(0.05)
            client.get_task_by_id(task.id()).kill()
        service.terminate()
        _, log = service.communicate(timeout=30)
    finally:
        service.kill()
        service.communicate()
    assert service.returncode == 0
    assert "' starts" in log
    assert "Traceback" not in log, log

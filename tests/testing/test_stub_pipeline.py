"""A stub of a pipeline: a function or canned rows, in this process and in those of tasks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchlite import BadArgument, Client
from orchlite.testing import pipeline_stub, run_inline

_FACTOR = 10
_FRAME = pd.DataFrame({"size": [2.0, 3.0, 4.0]})
_PROGRAM = """
import pandas as pd
import wallaroo

pipeline = wallaroo.Client().get_pipeline("prices")
print(pipeline.infer(pd.DataFrame({"size": [2.0, 3.0]}))["out.price"].tolist())
"""


def _price(columns: dict[str, Any]) -> dict[str, Any]:
    return {"price": np.array([math.floor(size) * _FACTOR for size in columns["size"]])}


def test_a_function_is_called(client: Client) -> None:
    assert pipeline_stub("prices", _price, client=client).infer(_FRAME)["out.price"].tolist() == [20, 30, 40]


def test_a_lambda_may_use_variables_around_it(client: Client) -> None:
    offset = 1
    stub = pipeline_stub("prices", lambda columns, factor=2: {"price": columns["size"] * factor + offset}, client=client)
    assert stub.infer(_FRAME)["out.price"].tolist() == [5.0, 7.0, 9.0]


@pytest.mark.slow
def test_tasks_find_it_by_its_name(client: Client, folder: Callable[..., Path]) -> None:
    pipeline_stub("prices", _price, client=client)
    run = client.run(folder(_PROGRAM))
    assert str(run.raise_for_failure().logs()) == "[20, 30]\n"
    run_inline({"main.py": _PROGRAM}, client=client)
    assert len(client.get_pipeline("prices").logs()) == 4


def test_the_rows_of_a_frame_are_returned_in_turn(client: Client) -> None:
    rows = pd.DataFrame({"price": [[1.5], [2.5]], "label": ["low", "high"]})
    frame = pipeline_stub("prices", rows, client=client).infer(_FRAME)
    assert frame["out.price"].tolist() == [[1.5], [2.5], [1.5]]
    assert frame["out.label"].tolist() == ["low", "high", "low"]


def test_a_frame_may_have_missing_and_infinite_numbers(client: Client) -> None:
    rows = pd.DataFrame({"price": [math.nan, math.inf, 1.5]})
    assert str(pipeline_stub("prices", rows, client=client).infer(_FRAME)["out.price"].tolist()) == "[nan, inf, 1.5]"


def test_the_last_stub_of_a_name_is_deployed(client: Client) -> None:
    pipeline_stub("prices", _price, client=client)
    pipeline_stub("prices", lambda columns: {"other": columns["size"]}, client=client)
    assert "out.other" in client.get_pipeline("prices").infer(_FRAME).columns


def test_what_cannot_be_copied_is_refused(client: Client) -> None:
    lock = client
    with pytest.raises(BadArgument, match="cannot be copied to the processes of tasks"):
        pipeline_stub("prices", lambda columns: {"x": lock}, client=client)
    with pytest.raises(BadArgument, match="is not written in Python"):
        pipeline_stub("prices", math.floor, client=client)
    with pytest.raises(BadArgument, match="function_or_frame is of type int"):
        pipeline_stub("prices", 1, client=client)


def test_the_fixture_uses_the_tests_own_store(pipeline_stub: Callable[..., Any], orchlite_client: Client) -> None:
    pipeline_stub("prices", _price)
    assert [pipeline.name() for pipeline in orchlite_client.list_pipelines()] == ["prices"]

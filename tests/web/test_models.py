"""The pages of models and pipelines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchlite

Seen = Callable[[str], str]

_STEP = "def process_data(columns):\n    return {'<i>price': columns['x'] * 2}\n"


@pytest.fixture
def step(tmp_path: Path) -> Path:
    path = tmp_path / "double.py"
    path.write_text(_STEP)
    return path


def test_a_store_without_models_says_so(browser: Any, seen: Seen) -> None:
    text = seen(browser.get("/models"))
    assert "There is no pipeline yet." in text
    assert "There is no model yet." in text
    browser.get("/models/1", 404)
    browser.get("/pipelines/one", 404)


def test_versions_steps_and_what_is_deployed(browser: Any, store: orchlite.Client, step: Path, seen: Seen) -> None:
    first, second = (store.upload_model("double", step, "python") for _ in range(2))
    pipeline = store.build_pipeline("prices").add_model_step(first).deploy()
    page = browser.get("/models")
    assert "prices deployed double 2" in seen(page)
    assert "double python double.py 2" in seen(page)
    assert browser.get("/pipelines") == page
    text = seen(browser.get("/models/1"))
    assert f"{first.version()[:8]} python double.py {first.sha()[:12]}… prices" in text
    assert f"{second.version()[:8]} python double.py {second.sha()[:12]}… none" in text
    pipeline.undeploy()
    assert "prices undeployed" in seen(browser.get("/models"))
    text = seen(browser.get("/pipelines/1"))
    assert "undeployed" in text
    assert "There is none." in text


@pytest.mark.slow
def test_the_newest_inferences_are_shown_as_text(browser: Any, store: orchlite.Client, step: Path) -> None:
    np = pytest.importorskip("numpy")
    pd = pytest.importorskip("pandas")
    pipeline = store.build_pipeline("prices").add_model_step(store.upload_model("double", step, "python")).deploy()
    for x in (1.0, 21.0):
        pipeline.infer(pd.DataFrame({"x": np.array([x])}))
    page = browser.get("/pipelines/1")
    assert page.index("42.0") < page.index(">2.0<")
    assert "out.&lt;i&gt;price" in page
    assert "<i>" not in page

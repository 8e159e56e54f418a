"""The snippets of the manual and of the examples' index are run, page by page, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.pages import MANUAL, ROOT, run_page

_PAGES = [*sorted(MANUAL.glob("*.md")), ROOT / "examples" / "README.md"]
_WITH_A_CACHE_OF_ITS_OWN = {"requirements", "upkeep"}
"""Pages that show how an environment is built, or what is unused in the cache."""


@pytest.mark.slow
@pytest.mark.parametrize("page", _PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_snippet_does_what_stands_below_it(page: Path, tmp_path: Path, shared_cache: Path) -> None:
    run_page(page, tmp_path / "home", cache=None if page.stem in _WITH_A_CACHE_OF_ITS_OWN else shared_cache)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_its_links_lead_somewhere(page: Path) -> None:
    for name in re.findall(r"\]\(((?!https?:)[^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / name).exists(), name

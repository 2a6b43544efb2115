"""The page that shows a first session is what the recorder makes of its own programs."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.house.source import ROOT


@pytest.fixture(scope="module")
def recorder() -> ModuleType:
    """The script, without running it."""
    spec = importlib.util.spec_from_file_location("record_first_session", ROOT / "docs" / "record_first_session.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_program_that_is_recorded(recorder: ModuleType) -> None:
    assert recorder.TUNE in recorder.PAGE.read_text()
    assert recorder.TUNE not in (recorder.MISSPELT, recorder.FAILING)


@pytest.mark.parametrize("heading", ["## In a terminal", "## In a notebook"])
def test_each_half_shows_progress_at_once_an_interrupt_and_going_on(recorder: ModuleType, heading: str) -> None:
    half = recorder.PAGE.read_text().partition(heading)[2].partition("\n## ")[0]
    for text in (f"trial 0/{recorder.BUDGET} | ", "| 0:00", "interrupted: ", "KeyboardInterrupt", "resuming: "):
        assert text in half, text
    assert f"{recorder.BUDGET} trials, the budget, have been run" in half


def test_a_typo_and_a_bug_are_told(recorder: ModuleType) -> None:
    page = recorder.PAGE.read_text()
    assert "Is 'acuracy' a misspelling of it?" in page
    assert "failed because of an error in the program" in page
    assert "/tmp/" not in page

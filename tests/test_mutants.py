"""The mutation script itself: what it changes, and what it leaves alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import mutants
from tests.mutants import Mutant

SOURCE = '''"""A module."""
if TYPE_CHECKING:
    import a_lot
LIMIT: int = 3

def f(x: float = -1.0) -> bool:
    if x < LIMIT and not x == 0.5:
        raise ValueError(f"below {LIMIT + 1}")
    return "é" + x if x else False
'''


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Mutant]:
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(SOURCE)
    return list(mutants.mutants(tmp_path / "module.py"))


def test_what_is_changed(found: list[Mutant]) -> None:
    assert [(m.line, m.before, m.after) for m in found] == [
        (4, "3", "(4)"),
        (6, "-1.0", "(1.0)"),
        (6, "1.0", "(2.0)"),
        (7, "x < LIMIT and not x == 0.5", "(x < LIMIT or not x == 0.5)"),
        (7, "x < LIMIT and not x == 0.5", "(not x == 0.5)"),
        (7, "x < LIMIT and not x == 0.5", "(x < LIMIT)"),
        (7, "x < LIMIT", "(x <= LIMIT)"),
        (7, "not x == 0.5", "(x == 0.5)"),
        (7, "x == 0.5", "(x != 0.5)"),
        (7, "0.5", "(1.0)"),
        (9, '"é" + x if x else False', "('é' + x if not x else False)"),
        (9, '"é" + x', "('é' - x)"),
        (9, "False", "(True)"),
    ]


def test_each_is_one_change_and_parses(found: list[Mutant]) -> None:
    for mutant in found:
        changed = mutant.applied(SOURCE)
        ast.parse(changed)
        assert changed.replace(mutant.after, mutant.before, 1) == SOURCE


def test_the_test_of_its_name_judges_first() -> None:
    assert mutants.judges("hpo/running/in_flight.py")[0].name == "test_in_flight.py"

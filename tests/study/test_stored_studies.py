"""Studies that an earlier layout of the library has stored: they open, replay bit for bit, and go on.

`stored/make.py` made them, with the library as it was when its modules lay in one folder. The last bits of a suggestion
depend on the BLAS and its kernels: where these are others than then, a suggestion may differ in its last digits.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import hpo
from hpo.storage import open_storage
from tests.study.stored.make import machine

STORED = Path(__file__).with_name("stored") / "former.db.gz"
NAMES = [
    "plain",
    "batches",
    "noisy",
    "conditional",
    "limited",
    "front",
    "failing",
    "mixture",
    "one-at-a-time",
    "edited",
]


@pytest.fixture
def where(tmp_path: Path) -> Path:
    path = tmp_path / "former.db"
    path.write_bytes(gzip.decompress(STORED.read_bytes()))
    return path


def test_there_are_ten(where: Path) -> None:
    assert sorted(open_storage(where).names()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_suggestion_is_derived_again(where: Path, name: str) -> None:
    noted = [e.data["text"] for e in hpo.open_study("edited", storage=where).events() if e.kind == "noted"]
    again = hpo.open_study(name, storage=where).replay()
    if json.loads(noted[-1]) == machine():
        assert again.is_identical, str(again)
        assert again.n_checked >= 8
    elif not again.is_identical:
        stored, derived = json.loads(again.stored), json.loads(again.derived)
        assert derived == pytest.approx(stored, rel=1e-4), "more than the last digits differ"


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_on(where: Path, name: str) -> None:
    study = hpo.open_study(name, storage=where)
    before = len(study.trials)
    trial = study.ask()
    study.tell(trial, dict.fromkeys((metric.name for metric in study.problem.metrics), 0.5))
    assert (len(study.trials), study.trials[-1].state) == (before + 1, hpo.TrialState.COMPLETED)
    assert hpo.open_study(name, storage=where).trials == study.trials

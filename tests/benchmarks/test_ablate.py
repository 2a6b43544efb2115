"""A library with a constant changed, compared with the library as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ablate, records
from benchmarks.problems import BY_NAME


def test_a_variant_is_run_beside_the_library_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.problems.FAMILIES", {"single": ("branin",)})

    def compare() -> str:
        ablate.ablate(
            "late",
            {"hpo.bayes.propose.N_STARTS": 1},
            families=["single"],
            half="development",
            mode="q8",
            seeds=1,
            results=tmp_path,
        )
        return capsys.readouterr().out

    first = compare()
    assert "hpo: 1/1" in first
    assert "hpo~late: 1/1" in first
    assert "| single | 1        | 1     |" in first
    runs = {run.contender: run for run in records.runs(tmp_path / ablate.fingerprint(), BY_NAME)}
    assert set(runs) == {"hpo", "hpo~late"}
    assert runs["hpo"].curve != runs["hpo~late"].curve, "the setting has reached the contender"
    assert "1/1" not in compare(), "what is there is not run again"

"""Runs and workers at the command line whose storage does not answer: at the beginning, and when they sum up."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import hpo
from hpo.cli import run
from hpo.cli.main import main
from hpo.storage import retry as persistence
from hpo.strategies import Random
from tests.running.test_outage import LOST, PROBLEM, Away
from tests.servers.postgres import free_port
from tests.storage.test_retry import Clock


@pytest.mark.parametrize(("outage", "lasts"), [((), 120), (("--outage", "30s"), 30)], ids=["default", "given"])
@pytest.mark.parametrize("arguments", [("worker", "s"), ("run", "study.toml")], ids=["worker", "run"])
def test_a_server_that_is_not_up_yet_is_waited_for_and_named(
    *,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    arguments: tuple[str, ...],
    outage: tuple[str, ...],
    lasts: int,
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.chdir(folder)
    clock = Clock()
    monkeypatch.setattr(persistence, "time", clock)
    url, begun = f"postgresql+psycopg://postgres@127.0.0.1:{free_port()}/postgres", clock.now
    done = CliRunner().invoke(main, [*arguments, "--storage", url, *outage])
    assert done.exit_code == 1
    assert "nobody answers at " in done.output
    assert lasts - 2.0 <= clock.now - begun <= lasts
    assert caplog.records[0].getMessage().endswith(f"Trying again, for {lasts} s more at most")


def test_a_summary_does_not_wait_for_the_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run, "CALL", 0.0)
    storage = Away(tmp_path / "hpo.db")
    study = hpo.open_study("s", PROBLEM, storage=storage, seed=1, strategy=Random())
    study.tell(study.ask(), {"y": 1.0})
    storage.fault = LOST
    assert len(run.latest(study).completed) == 1
    assert caplog.messages == ["what follows is as last read: nobody there"]
    storage.come_back()
    study.tell(study.ask(), {"y": 2.0})
    assert len(run.latest(study).completed) == 2
    storage.close()

"""What driver, supervisor and worker say to one another arrives as it was said."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from multiprocessing import Pipe
from pathlib import Path

import pytest

from hpo.executors.supervisor.command import Command
from hpo.executors.supervisor.messages import Broken, Cancel, Ready, Settings, Stop

MESSAGES = [
    Settings(function=b"pickled", is_reused=False, logs=Path("logs"), grace=0.5, env={"A": "b"}),
    Settings(command=Command.of(["train", "--lr={lr}"])),
    Ready(),
    Broken("OSError: no such data", "a traceback"),
    Cancel("digits-17-1", 2.5),
    Stop(0.0),
]


def test_all_that_is_said_arrives_in_order() -> None:
    here, there = Pipe()
    with here, there:
        for message in MESSAGES:
            here.send(message)
        assert [there.recv() for _ in MESSAGES] == MESSAGES


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_nothing_said_can_be_changed(message: object) -> None:
    with pytest.raises(FrozenInstanceError):
        message.grace = 1.0  # type: ignore[attr-defined]


def test_settings_of_two_pools_share_no_environment() -> None:
    assert Settings().env == {}
    assert Settings().env is not Settings().env
    assert pickle.loads(pickle.dumps(Settings())) == Settings()


def test_unless_told_otherwise_processes_are_kept_and_have_five_seconds_to_go() -> None:
    settings = Settings()
    assert (settings.function, settings.command, settings.logs) == (None, None, None)
    assert (settings.is_reused, settings.grace) == (True, 5.0)

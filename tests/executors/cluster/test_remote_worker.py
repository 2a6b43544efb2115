from __future__ import annotations

import os
import uuid
from dataclasses import replace
from pathlib import Path
from threading import Thread

from hpo.executors import Outcome, Task
from hpo.executors.cluster import remote_worker
from hpo.executors.supervisor.messages import Settings
from hpo.executors.supervisor.pickling import pickle_function
from hpo.testing.executors import await_that, behave, is_gone

SETTINGS = Settings(function=pickle_function(behave), grace=0.2)


def never() -> bool:
    return False


def started(key: str, mark: Path, token: str) -> tuple[Thread, list[Outcome]]:
    """A task that hangs, and where its outcome will stand."""
    outcomes: list[Outcome] = []
    task = Task(id="a", payload={"do": "hang", "mark": str(mark)})
    thread = Thread(target=lambda: outcomes.append(remote_worker.run_on_worker(key, SETTINGS, task, never, token)))
    thread.start()
    await_that(mark.exists, "it starts")
    return thread, outcomes


def test_a_cancelled_token_ends_or_never_starts_and_others_of_its_id_do(tmp_path: Path) -> None:
    key, mark = uuid.uuid4().hex, tmp_path / "mark"
    thread, outcomes = started(key, mark, "one")
    assert remote_worker.cancel_on_worker(key, {"one": 0.1, "two": 0.1}) == {"one"}
    thread.join(60)
    assert outcomes[0].kind == "cancelled"
    assert is_gone(mark)
    passing = Task(id="a", payload={"do": "pass", "value": 1})
    assert remote_worker.run_on_worker(key, SETTINGS, passing, never, "two").message == "cancelled before it started"
    assert remote_worker.run_on_worker(key, SETTINGS, passing, never, "three").value == {"value": 1}
    remote_worker.release(key)


def test_nothing_starts_after_a_release_and_nothing_is_kept(tmp_path: Path) -> None:
    key, mark = uuid.uuid4().hex, tmp_path / "mark"
    thread, outcomes = started(key, mark, "one")
    remote_worker.release(key)
    thread.join(60)
    assert outcomes[0].kind == "cancelled"
    assert is_gone(mark)
    passing = Task(id="b", payload={"do": "pass", "value": 1})
    assert remote_worker.run_on_worker(key, SETTINGS, passing, never).kind == "cancelled"
    assert key not in remote_worker._ends
    remote_worker.admit(key)
    assert remote_worker.run_on_worker(key, SETTINGS, passing, never).value == {"value": 1}
    remote_worker.release(key)


def test_devices_of_the_process_are_those_of_the_task() -> None:
    key, before = uuid.uuid4().hex, os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = "5"
    try:
        payload = {"do": "tell_env", "variable": "CUDA_VISIBLE_DEVICES", "value": "5"}
        outcome = remote_worker.run_on_worker(key, SETTINGS, Task(id="a", payload=payload, gpus=1), never)
    finally:
        remote_worker.release(key)
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
    assert outcome.message == ""


def test_a_withdrawn_token_never_starts_and_one_that_runs_or_ran_is_told(tmp_path: Path) -> None:
    key, mark = uuid.uuid4().hex, tmp_path / "mark"
    thread, outcomes = started(key, mark, "runs")
    passing = Task(id="b", payload={"do": "pass", "value": 1})
    assert remote_worker.run_on_worker(key, SETTINGS, passing, never, "ran").value == {"value": 1}
    assert remote_worker.withdraw_on_worker(key, {"runs", "ran", "comes"}) == {"runs", "ran"}
    assert remote_worker.run_on_worker(key, SETTINGS, passing, never, "comes").message == "cancelled before it started"
    assert thread.is_alive()
    remote_worker.release(key)
    thread.join(60)
    assert outcomes[0].kind == "cancelled"
    assert remote_worker.withdraw_on_worker(key, {"late"}) == set()


def test_a_task_without_a_limit_is_held_to_its_share_and_told_why() -> None:
    key, share = uuid.uuid4().hex, 200 << 20
    begun: list[float] = []
    eating = Task(id="a", payload={"do": "eat_memory"})
    outcome = remote_worker.run_on_worker(key, SETTINGS, eating, never, share=share, begin=begun.append)
    assert (outcome.kind, outcome.message.endswith(remote_worker.OF_SHARE)) == ("oom", True)
    assert "more than its limit of 200 MiB, its share of the worker's" in outcome.message
    assert outcome.started_at is not None
    assert abs(begun[0] - outcome.started_at) < 10.0
    limited = Task(id="b", payload={"do": "eat_memory"}, memory=300 << 20)
    outcome = remote_worker.run_on_worker(key, SETTINGS, limited, never, share=share)
    assert (outcome.kind, outcome.message.endswith("more than its limit of 300 MiB")) == ("oom", True)
    remote_worker.release(key)


def test_what_cannot_be_started_never_started(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder")
    settings = replace(SETTINGS, logs=tmp_path / "logs")
    outcome = remote_worker.run_on_worker(uuid.uuid4().hex, settings, Task(id="a", payload={"do": "pass"}), never)
    assert (outcome.kind, outcome.started_at, outcome.seconds) == ("infra", None, 0.0)
    assert "could not be started" in outcome.message

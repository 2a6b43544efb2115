"""Several drivers spend one budget while they are stopped, continued, killed and followed by others, at random moments and
with leases of a second: what has begun is paid for, once, and never more than there was.

Each training writes to a ledger when it begins, and how long it ran. HPO_MONEY_RUNS says how many studies are run of each
kind.
"""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.storage import open_storage
from tests.faults.zygote import Drive, Zygote, read, zygote

RUNS = int(os.environ.get("HPO_MONEY_RUNS", "1"))
SERVER = os.environ.get("HPO_TEST_PG", "")
COST, RESERVE, LEASE, SLOTS = 60.0, 3.0, 1.0, 2
PATIENCE = 240.0
BUDGETS: Mapping[str, Mapping[str, Any]] = {
    "reserve": {"cost": COST, "reserve": RESERVE},
    "rate": {"cost": COST, "reserve": RESERVE, "cost_of": 1.0},
}


@pytest.mark.timeout(400 * RUNS)
@pytest.mark.parametrize("kind", BUDGETS)
@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
def test_what_ran_is_paid_for_once(storage: str, kind: str, tmp_path: Path) -> None:
    if storage == "postgresql" and not SERVER:
        pytest.skip("HPO_TEST_PG names no PostgreSQL server")
    with ExitStack() as stack:
        zygotes = [stack.enter_context(zygote()) for _ in range(3)]
        for i in range(RUNS):
            url = SERVER if storage == "postgresql" else str(tmp_path / f"{i}.db")
            ledger = tmp_path / f"state-{i}"
            seconds = 0.5 if kind == "reserve" else 1.2  # a rate pays for less than is set aside
            drive = Drive(*(uuid.uuid4().hex, url, str(ledger), 0, "processes", seconds, LEASE), budget=BUDGETS[kind])
            seed = random.randrange(2**32)
            kills = _spend(drive, zygotes, random.Random(seed))
            _check(drive, ledger, kills, kind, f"run {i}, seed {seed}")


def _spend(drive: Drive, zygotes: list[Zygote], draw: random.Random) -> int:
    """Spend the budget, whatever befalls the drivers. Returns how many were killed."""
    running = {z: z.start(drive) for z in zygotes}
    end, kills = time.monotonic() + PATIENCE, 0
    while running:
        assert time.monotonic() < end, "the budget is spent at last"
        time.sleep(draw.uniform(0.05, 0.5))
        z, pid = draw.choice(list(running.items()))
        with suppress(ProcessLookupError):
            if draw.random() < 0.3 and kills < 4:
                kills += 1
                os.kill(pid, signal.SIGKILL)
                assert z.wait() in (0, -signal.SIGKILL)
                running[z] = z.start(drive)
                continue
            os.kill(pid, signal.SIGSTOP)
            time.sleep(draw.uniform(0.1, 2.5 * LEASE))
            os.kill(pid, signal.SIGCONT)
        for other in [other for other, pid in running.items() if _is_over(pid)]:
            assert other.wait() == 0
            del running[other]
    return kills


def _is_over(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _check(drive: Drive, ledger: Path, kills: int, kind: str, which: str) -> None:
    lines = read(ledger)
    begun = {(number, attempt) for _, number, _, _, attempt in (line for line in lines if line[0] == "began")}
    ran = {(number, attempt): seconds for _, number, attempt, seconds in (line for line in lines if line[0] == "ran")}
    assert len(begun) == sum(line[0] == "began" for line in lines), "no attempt began twice"
    with closing(open_storage(drive.storage)) as there:
        history = hpo.open_study(drive.name, storage=there).history
        budget = hpo.Budget(**drive.budget)
        spent = budget.spent(history)
        attempts = {(trial.number, a.number): a for trial in history.trials for a in trial.attempts}
        assert spent <= COST + 1e-9, which
        assert begun <= set(attempts), f"what has begun is paid for: {which}"
        assert len(attempts) - len(begun) <= SLOTS * kills, f"and nothing else, but for the killed: {which}"
        if kind == "reserve":
            assert len(begun) * RESERVE <= spent == RESERVE * len(attempts), which
            return
        billed = {each: attempt.billed(budget.timeout, history.as_of) for each, attempt in attempts.items()}
        assert spent == pytest.approx(sum(billed.values())), which
        for each, seconds in ran.items():
            assert seconds <= billed[each] + 0.01, f"attempt {each} costs no less than it ran: {which}"
        n_measured = sum(attempt.seconds is not None for attempt in attempts.values())
        assert len(attempts) - n_measured <= SLOTS * kills, f"of all others it is known how long they ran: {which}"

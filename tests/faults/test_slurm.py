"""What goes wrong on a cluster: nodes, controllers, jobs and drivers that end, and a Slurm that has forgotten everything.

    tests/servers/slurm.sh run python -m pytest tests/faults/test_slurm.py

Tasks hold until a gate opens and keep a ledger of what they did, so that the study can be compared with it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.executors import CloseMode, Slurm, Task
from hpo.strategies import Random
from hpo.testing import executors as contracts
from hpo.testing.executors import collect
from hpo.trials.trial import TrialState
from tests.servers import slurm
from tests.servers.slurm import PATIENCE, Cluster, await_that, said

slurm.skip_without()

log = logging.getLogger(__name__)

AT_ONCE = int(os.environ.get("HPO_SLURM_AT_ONCE", "64"))
"""Trials that run at the same time."""
HOLD = """
echo "begun $HPO_TRIAL $SLURM_ARRAY_JOB_ID $SLURMD_NODENAME" >> {folder}/ledger
while [ ! -e {folder}/gate ] && [ ! -e {folder}/gate-$HPO_TRIAL ]; do sleep 1; done
echo "ended $HPO_TRIAL $1" >> {folder}/ledger
echo '{{"y": '$1'}}'
"""

DRIVER = """
import sys
from pathlib import Path
import hpo
from tests.faults.test_slurm import executor, open_study
folder = Path(sys.argv[1])
hpo.run(open_study(folder), executor=executor(folder, 4), budget=hpo.Budget(trials=8))
"""

POOL = """
import sys
from pathlib import Path
from hpo.executors import Task
from tests.faults.test_slurm import executor
pool = executor(Path(sys.argv[1]), 4).start()
pool.submit(*(Task(id=f"w{i}", payload={"x": i}, env={"HPO_TRIAL": str(i)}) for i in range(6)))
while True:
    pool.wait()
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with slurm.cluster(3, 6) as started:
        yield started


def executor(folder: Path, slots: int, script: str = HOLD, **settings: Any) -> Slurm:
    """Runs the script with the value of x as its argument."""
    (folder / "train.sh").write_text(script.format(folder=folder))
    return Slurm(folder / "shared", slots, command=["sh", f"{folder}/train.sh", "{x}"], grace=0.5, **settings)


def open_study(folder: Path) -> hpo.Study:
    """Cheap to ask, so that the cluster is what is tested."""
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y")])
    return hpo.open_study("cluster", problem, storage=folder / "hpo.db", seed=1, strategy=Random())


class Driver:
    """A run in a thread."""

    def __init__(self, study: hpo.Study, executor: Slurm, trials: int) -> None:
        self.fault: BaseException | None = None

        def run() -> None:
            try:
                hpo.run(study, executor=executor, budget=hpo.Budget(trials=trials))
            except BaseException as error:
                self.fault = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for its end, which must be a good one."""
        await_that(lambda: not self._thread.is_alive(), "the run ends")
        if self.fault is not None:
            raise self.fault


def ledger(folder: Path, word: str) -> list[list[str]]:
    """What was written after this word, line by line."""
    path = folder / "ledger"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [rest for first, *rest in lines if first == word]


def starts(folder: Path) -> Counter[int]:
    """How often each trial was begun."""
    return Counter(int(number) for number, *_ in ledger(folder, "begun"))


def begun(folder: Path, n: int) -> Callable[[], bool]:
    return lambda: starts(folder).total() >= n


def check(study: hpo.Study, folder: Path, trials: int) -> None:
    """All completed, each told once, with a value that was measured; nothing is left."""
    for event in study.events():
        if event.kind == "requeued":
            log.info("trial %s was run again: %s", event.number, event.data["reason"])
    assert [t.number for t in study.trials] == list(range(trials))
    assert {t.state for t in study.trials} == {TrialState.COMPLETED}
    told = Counter(event.number for event in study.events() if event.kind == "told")
    assert told == Counter(range(trials)), "each result exactly once"
    measured = {(int(number), float(x)) for number, x in ledger(folder, "ended")}
    assert {(t.number, t.values["y"].value) for t in study.trials} <= measured
    assert list((folder / "shared").iterdir()) == []


def test_a_node_dies(tmp_path: Path, cluster: Cluster) -> None:
    study = open_study(tmp_path)
    driver = Driver(study, executor(tmp_path, 8), 8)
    await_that(begun(tmp_path, 8), "all begin")
    hit = {int(number) for number, _, node in ledger(tmp_path, "begun") if node == "n1"}
    assert hit
    cluster("kill-node", "n1")
    seconds = await_that(lambda: all(starts(tmp_path)[number] > 1 for number in hit), "they are begun again")
    log.info("%d trials of a dead node begun again within %.0f s", len(hit), seconds)
    (tmp_path / "gate").touch()
    driver.join()
    check(study, tmp_path, 8)
    assert {number for number, n in starts(tmp_path).items() if n > 1} == hit


@pytest.mark.parametrize("seconds", [1, 3, 8])
def test_the_controller_dies_and_comes_back(tmp_path: Path, cluster: Cluster, seconds: int) -> None:
    study = open_study(tmp_path)
    script = HOLD.replace("while", "sleep 5\nwhile")
    (tmp_path / "gate").touch()
    driver = Driver(study, executor(tmp_path, 12, script), 24)
    await_that(begun(tmp_path, 1), "the first begins")
    time.sleep(seconds)
    cluster("kill-controller")
    time.sleep(3)
    cluster("start-controller")
    begun_at = time.monotonic()
    driver.join()
    log.info("the run ended %.0f s after the controller came back", time.monotonic() - begun_at)
    check(study, tmp_path, 24)


def test_outcomes_come_while_the_controller_is_away(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "PATIENCE", PATIENCE)
    tasks = [Task(id=f"w{i}", payload={"x": i}, env={"HPO_TRIAL": str(i)}) for i in range(4)]
    with executor(tmp_path, 3).start() as pool:
        pool.submit(*tasks[:2])
        await_that(begun(tmp_path, 2), "both begin")
        cluster("kill-controller")
        pool.submit(tasks[2], tasks[3])
        assert pool.wait(1.0) == []
        pool.cancel(["w0", "w2", "w3"])
        outcomes = collect(pool, 3)
        assert {(o.id, o.kind) for o in outcomes} == {("w0", "cancelled"), ("w2", "cancelled"), ("w3", "cancelled")}
        (tmp_path / "gate").touch()
        assert [(o.id, o.value) for o in collect(pool, 1)] == [("w1", {"y": 1})]
        pool.submit(tasks[2])
        cluster("start-controller")
        assert [(o.id, o.value) for o in collect(pool, 1)] == [("w2", {"y": 2})]
    assert starts(tmp_path) == Counter(range(3)), "each once, and one never"


def test_somebody_cancels_the_jobs(tmp_path: Path, cluster: Cluster) -> None:
    study = open_study(tmp_path)
    driver = Driver(study, executor(tmp_path, 6), 6)
    await_that(begun(tmp_path, 6), "all begin")
    said("scancel", *cluster.jobs())
    seconds = await_that(lambda: min(starts(tmp_path).values()) > 1, "they are begun again")
    log.info("cancelled by somebody else, begun again within %.0f s", seconds)
    (tmp_path / "gate").touch()
    driver.join()
    check(study, tmp_path, 6)
    assert min(t.attempt for t in study.trials) > 1


def test_slurm_requeues_the_jobs(tmp_path: Path, cluster: Cluster) -> None:
    study = open_study(tmp_path)
    driver = Driver(study, executor(tmp_path, 4), 4)
    await_that(begun(tmp_path, 4), "all begin")
    said("scontrol", "requeue", ",".join(cluster.jobs()))
    seconds = await_that(lambda: set(starts(tmp_path).values()) == {2}, "they are begun again")
    log.info("requeued, begun again within %.0f s", seconds)
    (tmp_path / "gate").touch()
    driver.join()
    check(study, tmp_path, 4)
    assert {t.attempt for t in study.trials} == {1}, "the same tasks, started over"


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("script", "option", "kind"),
    [
        ("sleep 1000", "--time=1", "timeout"),
        (
            f"{sys.executable} -c 'import time; x = bytearray(b\"x\") * (1 << 30); time.sleep(1000)'",
            "--mem=200M",
            "oom",
        ),
    ],
)
def test_limits_of_slurm(tmp_path: Path, script: str, option: str, kind: str) -> None:
    study = open_study(tmp_path)
    Driver(study, executor(tmp_path, 1, script.replace("{", "{{"), options=(option,)), 1).join()
    assert [(t.state, t.kind) for t in study.trials] == [(TrialState.FAILED, kind)]
    assert list((tmp_path / "shared").iterdir()) == []


def test_slurm_forgets_everything_and_uses_its_ids_again(tmp_path: Path, cluster: Cluster) -> None:
    study = open_study(tmp_path)
    driver = Driver(study, executor(tmp_path, 4), 4)
    await_that(begun(tmp_path, 4), "all begin")
    cluster("forget")
    seconds = await_that(lambda: min(starts(tmp_path).values()) > 1, "they are begun again")
    log.info("forgotten, begun again within %.0f s", seconds)
    (tmp_path / "gate").touch()
    driver.join()
    check(study, tmp_path, 4)
    ids = [(number, job) for number, job, _ in ledger(tmp_path, "begun")]
    assert {job for _, job in ids[4:]} & {job for _, job in ids[:4]}, "the ids of the first jobs came again"


def test_results_of_an_earlier_cluster_are_not_taken_for_those_of_this_one(tmp_path: Path, cluster: Cluster) -> None:
    (tmp_path / "gate").touch()
    here = executor(tmp_path, 3)
    for x in (1, 2):
        pool = here.start()
        pool.submit(*(Task(id=f"w{i}", payload={"x": x}, env={"HPO_TRIAL": str(i)}) for i in range(3)))
        await_that(begun(tmp_path, 3 * x), "all begin")
        if x == 1:
            pool.close(CloseMode.DETACH)
            await_that(lambda: len(ledger(tmp_path, "ended")) == 3 and not cluster.jobs(), "all end")
            cluster("forget")
    assert {o.id: o.value for o in pool.close()} == {f"w{i}": {"y": 2} for i in range(3)}
    assert Counter(job for _, job, _ in ledger(tmp_path, "begun")).most_common(1)[0][1] == 6, "the same id"


@pytest.mark.usefixtures("cluster")
def test_the_driver_dies_and_the_next_takes_its_tasks_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "PATIENCE", PATIENCE)
    with subprocess.Popen([sys.executable, "-c", POOL, str(tmp_path)]) as process:
        await_that(begun(tmp_path, 4), "all that have a slot begin")
        process.kill()
    (tmp_path / "gate-0").touch()
    await_that(lambda: len(ledger(tmp_path, "ended")) == 1, "one ends while there is no driver")
    with executor(tmp_path, 4).start() as pool:
        assert pool.reattach([*(f"w{i}" for i in range(6)), "other"]) == {"w0", "w1", "w2", "w3"}
        assert [(o.id, o.value) for o in collect(pool, 1)] == [("w0", {"y": 0})]
        (tmp_path / "gate").touch()
        assert {o.id: o.value for o in collect(pool, 3)} == {f"w{i}": {"y": i} for i in range(1, 4)}
    assert starts(tmp_path) == Counter(range(4)), "each ran once"
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda ending: ending.name)
def test_a_run_ends_and_the_next_goes_on_with_its_jobs(tmp_path: Path, ending: signal.Signals) -> None:
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    with subprocess.Popen(command) as process:
        await_that(begun(tmp_path, 4), "as many begin as there are slots")
        process.send_signal(ending)
        assert process.wait(PATIENCE) == (0 if ending is signal.SIGTERM else -ending)
    study = open_study(tmp_path)
    assert [t.state for t in study.trials] == [TrialState.RUNNING] * 4
    with subprocess.Popen(command) as process:
        await_that(lambda: [e.kind for e in study.events()].count("adopted") == 4, "the next run watches over them")
        (tmp_path / "gate").touch()
        assert process.wait(PATIENCE) == 0
    check(study, tmp_path, 8)
    assert starts(tmp_path) == Counter(range(8)), "each ran once"
    assert {t.attempt for t in study.trials} == {1}


FAILING = """\
[study]
name = "cluster"
[space.x]
type = "float"
low = 0
high = 1
[[metrics]]
role = "objective"
name = "y"
[budget]
trials = 1
[run]
command = ["sh", "-c", "echo no data for {x} >&2; exit 3"]
logs = "logs"
[run.executor]
type = "slurm"
folder = "shared"
"""


@pytest.mark.usefixtures("cluster")
def test_a_failed_trial_names_its_log(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(FAILING)
    command = [sys.executable, "-m", "hpo.cli.main", "run", "study.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE)
    (log,) = (tmp_path / "logs").glob("*.err")
    assert log.read_text().startswith("no data for ")
    assert f"(log: {log.relative_to(tmp_path)})" in done.stdout, done.stdout + done.stderr


@pytest.mark.timeout(900)
def test_many_trials_at_once(tmp_path: Path) -> None:
    with slurm.cluster(4, AT_ONCE // 4) as cluster:
        study = open_study(tmp_path)
        driver = Driver(study, executor(tmp_path, AT_ONCE), AT_ONCE)
        seconds = await_that(lambda: len(starts(tmp_path)) == AT_ONCE, "all begin")
        log.info("%d trials begun within %.0f s", AT_ONCE, seconds)
        await_that(lambda: len(cluster.jobs("--states=RUNNING")) == AT_ONCE, "all run at once")
        assert len(study.history.in_flight) == AT_ONCE
        (tmp_path / "gate").touch()
        driver.join()
        check(study, tmp_path, AT_ONCE)

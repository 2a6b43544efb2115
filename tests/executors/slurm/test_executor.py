"""On a real Slurm with fake nodes: the contracts, and what Slurm adds to them.

tests/servers/slurm.sh run python -m pytest tests/executors/slurm/test_executor.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import ExecutorError
from hpo.executors import CloseMode, Outcome, Pool, Slurm, Task
from hpo.executors.notices import Notices
from hpo.executors.slurm import commands as slurm_queue
from hpo.executors.slurm.programs import Programs
from hpo.testing import executors as contracts
from hpo.testing.executors import ConcurrencyContract, ExecutorContract, IsolationContract, behave, collect
from tests.servers import slurm
from tests.servers.slurm import Cluster, await_that

slurm.skip_without()

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "slurm.md"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with slurm.cluster() as started:
        yield started


@pytest.fixture(autouse=True)
def patience(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "PATIENCE", slurm.PATIENCE)  # a job takes seconds to start on a loaded machine


class TestFunctions(ExecutorContract, ConcurrencyContract, IsolationContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "shared"

    def start(self, slots: int) -> Pool:
        return Slurm(self.path, slots, grace=0.3).start(behave)


def shell(folder: Path, script: str, slots: int = 1, **settings: Any) -> Slurm:
    """An executor of `sh -c script sh {x}`."""
    return Slurm(
        folder, slots, command=["sh", "-c", script.replace("{", "{{").replace("}", "}}"), "sh", "{x}"], **settings
    )


def hold(folder: Path, slots: int) -> Slurm:
    """Tasks that say that they have begun and run until `gate` exists; they keep count of themselves."""
    script = f"""
        echo $1 >> {folder}/begun
        while [ ! -e {folder}/gate ]; do sleep 0.3; done
        echo '{{"y": '$1'}}'
    """.replace("{{", "{").replace("}}", "}")
    return shell(folder / "shared", script, slots, grace=0.5)


def begun(folder: Path) -> list[str]:
    path = folder / "begun"
    return sorted(path.read_text().split(), key=int) if path.exists() else []


def tasks(*numbers: int, **limits: Any) -> list[Task]:
    return [Task(id=f"w{number}", payload={"x": number}, **limits) for number in numbers]


def values(outcomes: list[Outcome]) -> dict[str, Any]:
    return {o.id: o.value and o.value["y"] for o in outcomes}


def test_a_command_with_logs_and_nothing_left_in_the_folder(tmp_path: Path) -> None:
    executor = shell(tmp_path / "shared", "echo training >&2; echo '{\"y\": '$1'}'", logs=tmp_path / "logs")
    assert executor.names == {"x"}
    with executor.start() as pool:
        pool.submit(*tasks(7))
        outcome = collect(pool, 1)[0]
    assert outcome.value == {"y": 7}
    assert Path(outcome.logs[1]).read_text() == "training\n"
    assert list((tmp_path / "shared").iterdir()) == []


def test_tasks_submitted_together_share_arrays(tmp_path: Path) -> None:
    with hold(tmp_path, 16).start() as pool:
        pool.submit(*tasks(*range(12), cpus=0.5), *tasks(12, 13, cpus=0.5, timeout=600.0))
        await_that(lambda: len(begun(tmp_path)) == 14, "all have begun")
        assert (
            len(
                {
                    name
                    for name, _ in slurm_queue.look(Programs(Notices()))
                    if name.startswith(f"hpo-{_pool_name(tmp_path)}-")
                }
            )
            == 2
        )
        (tmp_path / "gate").touch()
        assert values(collect(pool, 14)) == {f"w{i}": i for i in range(14)}


def _pool_name(folder: Path) -> str:
    return next(path.name for path in (folder / "shared").iterdir())


def test_resources_are_asked_for(tmp_path: Path) -> None:
    script = """
        limit=$(scontrol show job $SLURM_JOB_ID | sed -n 's/.*TimeLimit=\\([^ ]*\\).*/\\1/p')
        echo '{"cpus": '$SLURM_CPUS_ON_NODE', "memory": "'$SLURM_MEM_PER_NODE'", "limit": "'$limit'"}'
        echo '{"gpus": "'$CUDA_VISIBLE_DEVICES'"}'
    """
    executor = shell(tmp_path / "shared", script, cpus=2, memory=300 << 20)
    with executor.start() as pool:
        pool.submit(*tasks(0))
        assert collect(pool, 1)[0].value == {"cpus": 2, "memory": "400", "limit": "01:00:00", "gpus": ""}
        pool.submit(*tasks(0, cpus=2.5, memory=(500 << 20) - 1, gpus=2, timeout=100.0))
        assert collect(pool, 1)[0].value == {"cpus": 3, "memory": "600", "limit": "00:04:00", "gpus": "0,1"}


def test_what_slurm_refuses(tmp_path: Path) -> None:
    pool = shell(tmp_path, "exit", partition="nowhere").start()
    pool.submit(*tasks(0))
    with pytest.raises(ExecutorError, match=r"Slurm refuses: .*invalid partition specified: nowhere"):
        pool.wait()
    pool.close()
    assert list(tmp_path.iterdir()) == []
    with shell(tmp_path, "echo '{\"y\": 1}'").start() as pool:
        pool.submit(*tasks(0))
        collect(pool, 1)
        pool.submit(*tasks(1, cpus=9.0))  # one odd task is no reason to stop
        assert [(o.kind, "Slurm refuses" in o.message) for o in collect(pool, 1)] == [("infra", True)]
        pool.submit(*tasks(2))
        assert collect(pool, 1)[0].value == {"y": 1}


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_lost_answer_runs_nothing_twice_and_nothing_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """The first answer is lost; what was asked was done not at all, or once, or even twice."""
    true, shim = shutil.which("sbatch"), tmp_path / "bin" / "sbatch"
    shim.parent.mkdir()
    shim.write_text(f"""#!/bin/sh
        if [ -e {tmp_path}/lost ]; then exec {true} "$@"; fi
        touch {tmp_path}/lost
        cat > {tmp_path}/script
        for i in {" ".join(map(str, range(kept)))}; do {true} "$@" < {tmp_path}/script > /dev/null; done
        echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)' >&2
        exit 1
    """)
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    with hold(tmp_path, 4).start() as pool:
        pool.submit(*tasks(*range(4)))
        await_that(lambda: len(begun(tmp_path)) == 4, "all have begun")
        (tmp_path / "gate").touch()
        assert values(collect(pool, 4)) == {f"w{i}": i for i in range(4)}
    assert begun(tmp_path) == ["0", "1", "2", "3"]


def test_cancelled_tasks_leave_the_queue_and_their_neighbors_go_on(tmp_path: Path, cluster: Cluster) -> None:
    with hold(tmp_path, 4).start() as pool:
        pool.submit(*tasks(0, 1, cpus=8.0), *tasks(2, 3, cpus=8.0, timeout=600.0))  # two nodes of 8
        await_that(lambda: len(begun(tmp_path)) == 2, "two have begun")
        running = {f"w{i}" for i in begun(tmp_path)}
        queued = {f"w{i}" for i in range(4)} - running
        pool.cancel(queued)
        assert {(o.id, o.message) for o in collect(pool, 2)} == {(id, "cancelled before it started") for id in queued}
        await_that(lambda: not cluster.jobs("--states=PENDING"), "nothing is queued")
        assert len(cluster.jobs("--states=RUNNING")) == 2
        (tmp_path / "gate").touch()
        assert {o.id for o in collect(pool, 2) if o.kind is None} == running


def test_left_tasks_go_on_and_are_found_again(tmp_path: Path) -> None:
    executor = hold(tmp_path, 3)
    first = executor.start()
    assert first.survives
    first.submit(*tasks(0, 1, 2, 3))
    await_that(lambda: len(begun(tmp_path)) == 3, "three have begun")
    assert [(o.id, o.kind) for o in first.close(CloseMode.DETACH)] == [("w3", "cancelled")]
    assert first.wait() == first.close() == []

    with executor.start() as second:
        assert second.reattach(["w0", "w1", "nonsense"]) == {"w0", "w1"}
        with pytest.raises(ExecutorError, match="'w0' is already in flight"):
            second.submit(*tasks(0))
        second.cancel(["w0"])
        assert [(o.id, o.kind) for o in collect(second, 1)] == [("w0", "cancelled")]
        (tmp_path / "gate").touch()
        assert values(collect(second, 1)) == {"w1": 1}
    with executor.start() as third:
        assert third.reattach(["w2"]) == {"w2"}
        assert values(collect(third, 1)) == {"w2": 2}
    assert begun(tmp_path) == ["0", "1", "2"]
    assert list((tmp_path / "shared").iterdir()) == [], "the last one removes what nobody needs any more"


def test_an_id_used_again_never_brings_the_earlier_result(tmp_path: Path) -> None:
    executor = shell(tmp_path / "shared", f"echo $1 >> {tmp_path}/begun; echo '{{\"y\": '$1'}}'")
    for x in (1, 2):
        pool = executor.start()
        pool.submit(Task(id="same", payload={"x": x}))
        assert collect(pool, 1)[0].value == {"y": x}
        pool.submit(Task(id="same", payload={"x": 10 * x}))
        assert collect(pool, 1)[0].value == {"y": 10 * x}
        if x == 1:
            pool.submit(Task(id="left", payload={"x": 0}))
            await_that(lambda: "0" in begun(tmp_path), "it has begun")
            pool.close(CloseMode.DETACH)
        else:
            assert pool.reattach(["same", "left"]) == {"same", "left"}, "taken back from the first"
            assert values(collect(pool, 2)) == {"same": 10, "left": 0}
            pool.close()


def test_a_folder_that_somebody_removes(tmp_path: Path) -> None:
    executor = hold(tmp_path, 2)
    first = executor.start()
    first.submit(*tasks(0))
    await_that(lambda: begun(tmp_path) == ["0"], "it has begun")
    theirs = tmp_path / "shared" / _pool_name(tmp_path)
    second = executor.start()
    assert second.reattach(["w0"]) == {"w0"}
    second.submit(*tasks(1))
    await_that(lambda: begun(tmp_path) == ["0", "1"], "the other has begun")
    shutil.rmtree(theirs)
    (tmp_path / "gate").touch()
    outcomes = {o.id: o for o in collect(second, 2)}
    assert (outcomes["w0"].kind, outcomes["w1"].value) == ("infra", {"y": 1})
    assert second.close() == []
    with pytest.raises(ExecutorError, match="the folder of this pool is gone"):
        first.wait()
    assert first.close() == []


def run_from_page(name: str, folder: Path, *arguments: str) -> str:
    """What a script that stands on the page prints here."""
    text = PAGE.read_text(encoding="utf-8")
    shown = re.search(rf"<!-- file: {name} -->\n+```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown
    (folder / name).write_text(shown[1])
    command = [sys.executable, name, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True, timeout=slurm.PATIENCE)
    return done.stdout


def test_the_scripts_of_the_page(tmp_path: Path) -> None:
    run_from_page("tune.py", tmp_path, "--slurm")
    study = hpo.open_study("bowl", storage=tmp_path / "bowl.db")
    assert len(study.history.completed) == len(study.trials) > 0
    assert run_from_page("leave.py", tmp_path) == "['first', 'second']\n[1, 2]\n"
    assert list((tmp_path / "shared").iterdir()) == []

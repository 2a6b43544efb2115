"""What executors must do that hand tasks to a cluster (Dask, Ray), beside what `hpo.testing.executors` asks of all."""

from __future__ import annotations

from pathlib import Path

import psutil

from hpo.executors.base import Outcome
from hpo.testing.executors import Contract, await_that, collect, is_gone


class EngineContract(Contract):
    """What executors on a cluster (Dask, Ray) must do besides. `start(2)` has two workers, which may die.

    Example:
        >>> import hpo
        >>> class TestMine(hpo.testing.clusters.EngineContract):
        ...     def start(self, slots):
        ...         return hpo.executors.Dask(slots=slots).start(hpo.testing.executors.behave)
        >>> issubclass(TestMine, hpo.testing.executors.Contract)
        True
    """

    def kill_worker(self, task: psutil.Process) -> None:
        """Kill the cluster's process beside which a task runs: here, the one that started its supervisor."""
        supervisor = task.parent()
        assert supervisor is not None
        worker = supervisor.parent()
        assert worker is not None
        worker.kill()

    def test_a_killed_worker_is_infra_and_the_others_go_on(self, tmp_path: Path) -> None:
        gate, marks = tmp_path / "gate", {name: tmp_path / name for name in ("sibling", "victim")}
        with self.start(2) as pool:
            for name, mark in marks.items():
                self.submit(pool, name, "hold", gate=str(gate), mark=str(mark), value=1)
                await_that(mark.exists, f"the {name} starts")
            self.kill_worker(psutil.Process(int(marks["victim"].read_text())))
            victim = collect(pool, 1)[0]
            assert (victim.id, victim.kind) == ("victim", "infra")
            assert "lost" in victim.message
            await_that(lambda: is_gone(marks["victim"]), "the task of a killed worker ends")
            assert not is_gone(marks["sibling"])
            gate.touch()
            assert [(o.id, o.value) for o in collect(pool, 1)] == [("sibling", {"value": 1})]
            self.submit(pool, "victim", "pass", value=2)
            assert collect(pool, 1)[0].value == {"value": 2}
            assert pool.wait() == []

    def test_each_task_is_delivered_once_whatever_dies(self, tmp_path: Path) -> None:
        outcomes: list[Outcome] = []
        with self.start(2) as pool:
            for name in ("one", "two", "three"):
                self.submit(pool, name, "hang", mark=str(tmp_path / name))
                for i in range(20):
                    self.submit(pool, f"{name}-{i}", "pass")
                await_that((tmp_path / name).exists, "the victim starts")
                self.kill_worker(psutil.Process(int((tmp_path / name).read_text())))
            outcomes += pool.close()
        kinds = {o.id: o.kind for o in outcomes}
        assert len(kinds) == len(outcomes) == 63
        assert [kinds[name] for name in ("one", "two", "three")] == ["infra"] * 3
        assert set(kinds.values()) <= {None, "infra"}

"""Ray listens on all interfaces, so these run in a network namespace: `tests/servers/alone.sh`, with HPO_TEST_RAY set."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpo.errors import ExecutorError, MissingExtra
from hpo.executors import CloseMode, Pool, Ray, Task
from hpo.executors.cluster import pool as cluster_pool
from hpo.testing.clusters import EngineContract
from hpo.testing.executors import (
    ConcurrencyContract,
    ExecutorContract,
    IsolationContract,
    await_that,
    behave,
    collect,
    is_gone,
)

if not os.environ.get("HPO_TEST_RAY"):
    pytest.skip("HPO_TEST_RAY is not set: Ray is not installed, or has no namespace", allow_module_level=True)

from hpo.executors.cluster import ray_pool

DRIVER = """
import sys, time
from hpo.executors import Ray, Task
from hpo.testing.executors import behave
with Ray(slots=2).start(behave) as pool:
    pool.submit(Task(id="a", payload={"do": "hold", "gate": sys.argv[1], "mark": sys.argv[2], "value": 1}))
    print(pool.wait(), flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def address() -> Iterator[str]:
    """Of a cluster of four CPUs, which is not below this process and ends with the namespace; this program stays connected
    to it, which spares seconds a test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    host, _, port = address.partition(":")
    options = ("--head", f"--node-ip-address={host}", f"--port={port}", "--num-cpus=4", "--include-dashboard=false")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")  # of this run alone, whatever Ray finds in the home folder
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *options], check=True, capture_output=True
        )
        pool = Ray(address).start(behave)
        yield address
        pool.close()
    import ray

    assert not ray.is_initialized()


class TestContract(ExecutorContract, ConcurrencyContract, IsolationContract, EngineContract):
    def start(self, slots: int) -> Pool:
        return Ray("auto", slots, grace=0.3).start(behave)


class TestContractOfCommands(IsolationContract):
    exit_kind = "error"

    def start(self, slots: int) -> Pool:
        return Ray("auto", slots, command=[sys.executable, "-m", "hpo.testing.executors"], grace=0.3).start()


def actors() -> list[psutil.Process]:
    """Our workers on this machine."""
    return [process for process in psutil.process_iter(["name"]) if process.info["name"].startswith("ray::Seat")]


def test_capacity_is_that_of_the_cluster() -> None:
    with Ray().start(behave) as pool:
        assert pool.capacity == 4


def test_nothing_is_left(tmp_path: Path) -> None:
    pool = Ray(grace=0.3).start(behave)
    for name in "abcdef":
        pool.submit(Task(id=name, payload={"do": "hang", "mark": str(tmp_path / name)}))
    await_that(lambda: len([path for path in tmp_path.iterdir() if path.suffix != ".new"]) == 4, "they start")
    assert len(actors()) == 4
    with pytest.raises(ExecutorError, match="end with their driver"):
        pool.close(CloseMode.DETACH)
    assert {o.kind for o in pool.close(CloseMode.KILL)} == {"cancelled"}
    assert all(is_gone(mark) for mark in tmp_path.iterdir())
    await_that(lambda: not actors(), "the actors end")


def test_what_a_task_asks_for_is_set_aside(tmp_path: Path) -> None:
    with Ray().start(behave) as pool:
        for name in "ab":
            payload = {"do": "hold", "gate": str(tmp_path / f"{name}.gate"), "mark": str(tmp_path / name)}
            pool.submit(Task(id=name, payload=payload, cpus=3.0, memory=200 << 20))
            await_that((tmp_path / "a").exists, "a starts")
        pool.submit(Task(id="c", payload={"do": "pass"}))
        assert collect(pool, 1)[0].id == "c", "there is one CPU left"
        assert not (tmp_path / "b").exists()
        pool.cancel(["b"])
        outcome = collect(pool, 1)[0]
        assert (outcome.id, outcome.message) == ("b", "cancelled before it started")
        (tmp_path / "a.gate").touch()
        assert collect(pool, 1)[0].id == "a"
        pool.submit(Task(id="d", payload={"do": "pass"}, cpus=4.0))
        assert collect(pool, 1)[0].kind is None, "what was kept for others makes room"


def test_places_are_handed_back_after_a_while() -> None:
    with Ray(release_after=0.5).start(behave) as pool:
        pool.submit(*(Task(id=id, payload={"do": "pass"}) for id in "abc"))
        collect(pool, 3)
        await_that(lambda: not actors(), "the actors end")
        pool.submit(Task(id="a", payload={"do": "pass", "value": 1}))
        assert collect(pool, 1)[0].value == {"value": 1}


HIDING = """
import sys

class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "hpo":
            raise ModuleNotFoundError("No module named 'hpo'", name="hpo")

sys.meta_path.insert(0, Absent)
"""
"""Ray's workers look where the driver does: on one machine nothing is absent by its path."""


@contextmanager
def another_node(address: str, tmp_path: Path, cpus: int, memory: int, hides_hpo: bool = False) -> Iterator[None]:
    """Beside the one that there is; it ends with the block."""
    if hides_hpo:
        (tmp_path / "sitecustomize.py").write_text(HIDING)
    options = [f"--address={address}", f"--num-cpus={cpus}", f"--memory={memory}", "--block"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    devnull = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, stdout=devnull) as node:
        try:
            await_that(lambda: len(living()) == 2, "the node joins")
            yield
        finally:
            node.terminate()
    await_that(lambda: len(living()) == 1, "the node leaves")


def living() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def test_places_are_named_and_avoided_and_what_waits_there_moves(address: str, tmp_path: Path) -> None:
    with another_node(address, tmp_path, cpus=1, memory=300 << 20), Ray(slots=8, grace=0.1).start(behave) as pool:
        names = [f"{node['NodeName']} ({node['NodeID'][:12]})" for node in living()]
        for name in "abcde":
            payload = {"do": "hold", "gate": str(tmp_path / "gate"), "mark": str(tmp_path / name)}
            pool.submit(Task(id=name, payload=payload))
        await_that(lambda: all((tmp_path / name).exists() for name in "abcde"), "all five CPUs are taken")
        pool.submit(Task(id="f", payload={"do": "pass"}))
        await_that(lambda: len(pool._seats) == 6, "it waits for a node")  # type: ignore[attr-defined]
        small = next(name for name, node in zip(names, living(), strict=True) if node["Resources"]["CPU"] == 1.0)
        pool.avoid({small})
        await_that(lambda: pool.capacity == 5, "what has begun there leaves the other's CPUs free")
        await_that(lambda: pool._seats[-1].barred, "it waits for the other node alone")  # type: ignore[attr-defined]
        (tmp_path / "gate").touch()
        places = {outcome.id: outcome.place for outcome in collect(pool, 6)}
        assert set(places.values()) == set(names)
        assert places["f"] != small
        assert pool.capacity == 4, "its idle CPU does not count"
        pool.avoid(set(names) - {small})
        pool.submit(Task(id="g", payload={"do": "eat_memory"}))
        outcome = collect(pool, 1)[0]
        assert (outcome.place, outcome.kind) == (small, "oom"), "its only CPU has all its memory"
        assert "its limit of 300 MiB, its share" in outcome.message
        pool.submit(Task(id="h", payload={"do": "pass", "value": 1}, cpus=2.0))
        assert collect(pool, 1)[0].value == {"value": 1}, "a wish: no other node can hold it"


def test_a_node_without_hpo_is_left_out(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "ANSWER", 120.0)  # a machine under load takes longer to start what is asked there
    with another_node(address, tmp_path, 4, 300 << 20, hides_hpo=True), Ray(slots=8).start(behave) as pool:
        told = pool.notices()
        pool.submit(*(Task(id=str(i), payload={"do": "pass", "value": i}) for i in range(8)))
        assert {outcome.kind for outcome in collect(pool, 8)} == {None}
    assert len(told) == 1
    assert "have no hpo: install the same version" in told[0]
    assert told[0].endswith("; no trial starts there")


def test_what_no_node_can_hold_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "QUIET", 0.5)
    told: list[str] = []

    def tell() -> bool:
        told.extend(pool.notices())
        return bool(told)

    with Ray().start(behave) as pool:
        pool.submit(Task(id="a", payload={"do": "pass"}, cpus=2.0, gpus=1))
        await_that(tell, "somebody is told")
        pool.cancel(["a"])
        assert collect(pool, 1)[0].started_at is None
    assert told == [
        "no node of the Ray cluster can hold a trial: it asks for 2 CPU, 1 GPU, and the most that one has is 4 CPU, 0 GPU; "
        "1 trial waits"
    ]


def test_a_lost_actor_is_named_and_what_it_had_had_begun(tmp_path: Path) -> None:
    with Ray(slots=1, grace=0.1).start(behave) as pool:
        pool.submit(Task(id="a", payload={"do": "hang", "mark": str(tmp_path / "mark")}))
        await_that((tmp_path / "mark").exists, "it starts")
        psutil.Process(int((tmp_path / "mark").read_text())).parents()[1].kill()
        outcome = collect(pool, 1)[0]
    assert (outcome.kind, outcome.place) == ("infra", living()[0]["NodeName"])
    assert outcome.started_at is not None


def test_an_actor_that_hangs_holds_up_no_cancellation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_pool, "PATIENCE", 1.0)
    with Ray(slots=1, grace=0.1).start(behave) as pool:
        payload = {"do": "hold", "gate": str(tmp_path / "gate"), "mark": str(tmp_path / "mark")}
        pool.submit(Task(id="a", payload=payload))
        await_that((tmp_path / "mark").exists, "it starts")
        actor = psutil.Process(int((tmp_path / "mark").read_text())).parents()[1]
        os.kill(actor.pid, signal.SIGSTOP)
        pool.cancel(["a"])
        outcome = collect(pool, 1)[0]
        assert (outcome.kind, "given up" in outcome.message) == ("cancelled", True)
        await_that(lambda: is_gone(tmp_path / "mark"), "it ends all the same")
        pool.submit(Task(id="a", payload={"do": "pass", "value": 2}))
        assert collect(pool, 1)[0].value == {"value": 2}


def test_a_cluster_of_its_own_and_a_killed_driver(tmp_path: Path) -> None:
    """Both in programs of their own: a program has one connection."""
    for name in ("ends", "dies"):
        gate, mark = tmp_path / f"{name}.gate", tmp_path / name
        command = [sys.executable, "-c", DRIVER, str(gate), str(mark)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
            await_that(mark.exists, "the task starts")
            family = psutil.Process(driver.pid).children(recursive=True)
            assert len(family) > 3
            if name == "ends":
                gate.touch()
                assert "{'value': 1}" in driver.communicate(timeout=60)[0]
            else:
                driver.kill()
        await_that(lambda mark=mark: is_gone(mark), "the task ends")  # type: ignore[misc]
        if name == "ends":  # a minute after a kill: Ray's own patience with a driver
            await_that(lambda family=family: not any(p.is_running() for p in family), "the cluster ends")  # type: ignore[misc]


def test_many_tasks_are_cheap_to_have_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    made, new_place = list[Any](), ray_pool.RayPool._new_place

    def counted(pool: Any, *asked: Any) -> Any:
        made.append(asked)
        return new_place(pool, *asked)

    monkeypatch.setattr(ray_pool.RayPool, "_new_place", counted)
    with Ray(slots=2).start(behave) as pool:
        pool.submit(*(Task(id=str(i), payload={"do": "pass", "value": i}) for i in range(2000)))
        assert {o.id: (o.value or {})["value"] for o in collect(pool, 2000)} == {str(i): i for i in range(2000)}
    assert len(made) < 20, "an actor that comes up is waited for, though another is free sooner"


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hpo.executors.cluster.ray_pool")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install ray$"):
        Ray().start(behave)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"slots": 0}, "at least one slot, got 0"),
        ({"grace": -1.0}, "0 or more, got -1.0"),
        ({"release_after": 0.0}, "seconds, above 0, got 0.0"),
        ({"command": "python train.py"}, "must be a list of arguments"),
    ],
)
def test_settings_are_checked_at_birth(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ExecutorError, match=text):
        Ray(**fields)

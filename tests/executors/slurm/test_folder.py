from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from hpo.executors import Outcome, Task
from hpo.executors.slurm.folder import NOBODY, PoolFolder
from hpo.executors.supervisor.messages import Settings


@pytest.fixture
def folder(tmp_path: Path) -> PoolFolder:
    return PoolFolder.create(tmp_path, Settings(function=b"pickled", grace=3.0))


def test_what_is_written_is_read(folder: PoolFolder, tmp_path: Path) -> None:
    tasks = [Task(id=f"é/{i}", payload={"x": [1.5, None]}, timeout=2.0, env={"A": "b"}, gpus=i) for i in range(3)]
    folder.add(0, tasks[:1])
    folder.add(1, tasks[1:])
    assert folder.settings() == Settings(function=b"pickled", grace=3.0)
    assert folder.batch(1) == tasks[1:]
    assert folder.arrays() == [(1, tasks[1:]), (0, tasks[:1])]
    outcome = Outcome(id="é/0", value={"y": 0.1}, logs=("a.out", "a.err"), started_at=1.0, seconds=2.0)
    folder.end(0, outcome)
    assert folder.outcome(0) == outcome
    assert folder.outcome(1) is None
    newer = PoolFolder.create(tmp_path, Settings())
    assert PoolFolder.all(tmp_path) == [newer, folder]


def test_one_of_many_gets_the_claim(folder: PoolFolder) -> None:
    got: list[int] = []
    start = threading.Barrier(8)

    def claim(i: int) -> None:
        start.wait()
        if folder.claim(5, f"job {i}"):
            got.append(i)

    threads = [threading.Thread(target=claim, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [folder.claimant(5)] == [f"job {i}" for i in got]
    assert folder.claim(5, folder.claimant(5)), "a requeued job finds its own"
    assert not folder.claim(5, NOBODY)


def test_the_first_outcome_stays(folder: PoolFolder) -> None:
    first = Outcome(id="a", value={"y": 1})
    folder.end(3, first)
    folder.end(3, Outcome(id="a", kind="infra", message="late"))
    assert folder.outcome(3) == first
    assert folder.ended() == {3}
    assert sorted(path.name for path in (folder.path / "ended").iterdir()) == ["3"], "no temporary file is left"


def test_delivered_outcomes_are_kept_until_all_are(folder: PoolFolder) -> None:
    folder.add(0, [Task(id=id, payload={}) for id in "ab"])
    for number in (0, 1):
        folder.end(number, Outcome(id="ab"[number], value={}))
    folder.deliver(0)
    folder.deliver(0)
    assert folder.ended() == {1}
    assert folder.outcome(0) == Outcome(id="a", value={})
    folder.remove_if_done()
    assert folder.path.exists(), "1 is not delivered"
    folder.take_back(0)
    assert folder.ended() == {0, 1}
    folder.deliver(0)
    folder.deliver(1)
    folder.remove_if_done()
    assert not folder.path.exists()
    folder.remove_if_done()


def test_a_removal_that_is_cut_off_counts(folder: PoolFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.is_there
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    folder.remove()
    assert folder.path.exists()
    assert not folder.is_there
    assert PoolFolder.all(tmp_path) == []
    folder.remove()


def test_a_stop_may_become_more_urgent(folder: PoolFolder) -> None:
    assert folder.stop_asked(2) is None
    folder.stop(2, 30.0)
    assert folder.stop_asked(2) == 30.0
    folder.stop(2, 0.0)
    assert folder.stop_asked(2) == 0.0


def test_only_its_user_may_look(folder: PoolFolder) -> None:
    assert folder.path.stat().st_mode & 0o077 == 0


NOBODYS = 65534
"""The id of a user who is not this one."""


def only_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make files of another user")


@pytest.mark.parametrize("path", [".", "ended"])
@pytest.mark.parametrize("mode", [0o702, 0o720, 0o777])
def test_a_folder_into_which_others_may_write_is_not_believed(
    folder: PoolFolder, tmp_path: Path, path: str, mode: int
) -> None:
    folder.path.chmod(0o711)
    assert PoolFolder.all(tmp_path) == [folder], "to pass through is not to write"
    (folder.path / path).chmod(mode)
    skipped: list[ValueError] = []
    assert PoolFolder.all(tmp_path, skipped.append) == []
    assert [str(error) for error in skipped] == [f"{folder.path} cannot be read: others may write into it"]
    with pytest.raises(ValueError, match="settings cannot be read: its folder belongs to another user, or"):
        folder.settings()


def test_nothing_of_another_user_is_believed(folder: PoolFolder, tmp_path: Path) -> None:
    only_root()
    folder.end(3, Outcome(id="a", value={"y": -999.0}))
    os.chown(folder.path / "ended" / "3", NOBODYS, NOBODYS)
    with pytest.raises(ValueError, match="3 cannot be read: it is no file of this user"):
        folder.outcome(3)
    os.chown(folder.path / "settings", NOBODYS, NOBODYS)
    with pytest.raises(ValueError, match="it is no file of this user"):
        folder.settings()
    os.chown(folder.path, NOBODYS, NOBODYS)
    assert PoolFolder.all(tmp_path) == []
    with pytest.raises(ValueError, match="belongs to another user"):
        folder.settings()


def test_links_are_not_followed(folder: PoolFolder, tmp_path: Path) -> None:
    (tmp_path / "planted").write_text(json.dumps({"id": "a", "value": {"y": -999.0}}))
    (folder.path / "ended" / "3").symlink_to(tmp_path / "planted")
    with pytest.raises(ValueError, match="3 cannot be read: it is a link"):
        folder.outcome(3)
    link = tmp_path / "below" / "linked"
    link.parent.mkdir()
    link.symlink_to(folder.path)
    assert PoolFolder.all(link.parent) == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{torn",
            "[]",
            "null",
            "{}",
            '{"id": "a"}',
            '{"id": "a", "value": {}, "kind": "oom"}',
            '{"id": 1, "value": {}}',
        ),
        *('{"id": "a", "value": [1]}', '{"id": "a", "kind": "bad"}', '{"id": "a", "value": {}, "seconds": "long"}'),
        *(
            '{"id": "a", "value": {}, "started_at": NaN}',
            '{"id": "a", "value": {}, "logs": 3}',
            '{"id": "a", "kind": []}',
        ),
    ],
)
def test_an_outcome_that_no_job_wrote(folder: PoolFolder, text: str) -> None:
    path = folder.path / "ended" / "3"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path} cannot be read"):
        folder.outcome(3)


def test_an_outcome_of_another_version(folder: PoolFolder) -> None:
    (folder.path / "ended" / "3").write_text('{"id": "a", "value": {"y": 1}, "weather": "fine"}')
    assert folder.outcome(3) == Outcome(id="a", value={"y": 1})


@pytest.mark.parametrize("text", ["", "{torn", "[1]", '[{"id": "a"}]', '[{"id": "", "payload": {}}]', "3"])
def test_a_batch_that_no_driver_wrote_is_left_aside(folder: PoolFolder, text: str) -> None:
    folder.add(0, [Task(id="a", payload={})])
    (folder.path / "batches" / "7").write_text(text)
    (folder.path / "batches" / "notes.txt").write_text("by hand")
    skipped: list[ValueError] = []
    assert folder.arrays(skipped.append) == [(0, [Task(id="a", payload={})])]
    assert [str(error).partition(" cannot be read")[0] for error in skipped] == [str(folder.path / "batches" / "7")]
    folder.remove_if_done()
    assert folder.is_there, "nobody knows whether it is done"


def test_an_outcome_takes_the_space_that_was_set_aside(folder: PoolFolder) -> None:
    folder.set_aside(3)
    (reserve,) = (folder.path / "ended").iterdir()
    node = reserve.stat().st_ino
    assert folder.ended() == set()
    folder.end(3, Outcome(id="a", value={"y": 1}))
    (ended,) = (folder.path / "ended").iterdir()
    assert (ended.name, ended.stat().st_ino) == ("3", node)
    assert folder.outcome(3) == Outcome(id="a", value={"y": 1})


def test_a_try_that_failed_keeps_what_was_set_aside(folder: PoolFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder.set_aside(3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fail)
        for number in (3, 4):
            with pytest.raises(OSError, match="No space left"):
                folder.end(number, Outcome(id="a", value={"y": 1}, log_tail="x" * 100))
    assert [path.name for path in (folder.path / "ended").iterdir()] == [".3"]
    folder.end(3, Outcome(id="a", value={"y": 1}))
    assert folder.outcome(3) == Outcome(id="a", value={"y": 1})


def test_what_a_job_said_and_where(folder: PoolFolder) -> None:
    assert (folder.said("12_0"), folder.place("12_0")) == ("", "")
    lines = [
        "hpo runs this job on n1",
        "slurmstepd: error: it is requeued",
        "hpo runs this job on n2",
        "No module named 'hpo'",
    ]
    (folder.path / "slurm" / "12_0.out").write_text("\n".join(lines))
    assert folder.said("12_0") == "slurmstepd: error: it is requeued\nNo module named 'hpo'"
    assert folder.place("12_0") == "n2"

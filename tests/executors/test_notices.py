from __future__ import annotations

from hpo.executors.notices import Notices


def test_each_thing_is_said_once_until_it_changes() -> None:
    notices = Notices()
    for text in ("slow", "slow", "slower", "slow"):
        notices.say("sbatch", text)
    notices.say("squeue", "slow")
    assert notices.take() == ["slow", "slower", "slow", "slow"]
    assert notices.take() == []
    notices.say("sbatch", "slow")
    assert notices.take() == []


def test_the_end_of_what_was_said_is_said() -> None:
    notices = Notices()
    notices.end("sbatch", "well again")
    notices.say("sbatch", "slow")
    notices.end("sbatch", "well again")
    notices.end("sbatch", "well again")
    notices.say("sbatch", "slow")
    assert notices.take() == ["slow", "well again", "slow"]

"""What the suites hold, and in which order their runs come."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks import contenders, problems
from benchmarks.session import Choice, chosen_problems, unfinished
from benchmarks.suites import (
    CONTENDER_CAPS,
    LIVE_CAP,
    LIVE_NAMES,
    MODE_WORDS,
    MODES,
    SUITES,
    Task,
    cap_words,
    seeds_of,
    smallest,
    tasks,
)
from tests.benchmarks.fakes import a_run, line

ALL = {name: list(problems.BY_NAME) for name in contenders.CONTENDERS}
SOME = {name: line(name, budget=budget) for name, budget in (("a", 30), ("b", 10), ("c", 20), ("d", 20))}
FAMILIES = {"single": ("a", "b"), "mixed": ("c", "d")}


def half(name: str) -> str:
    return "development" if name in "ac" else "validation"


def chosen(**fields: Sequence[str] | str | None) -> list[str]:
    return chosen_problems(Choice(SUITES["standard"], **fields), SOME, FAMILIES, half)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "total"), [("q1", 30), ("q8", 64), ("q64", 256), ("bbo", 128), ("async8", 60), ("async64", 60)]
)
def test_evaluations_of_a_mode(mode: str, total: int) -> None:
    assert MODES[mode].total(SOME["a"]) == total
    assert MODES.keys() == MODE_WORDS.keys()


def test_names_of_the_suites_exist() -> None:
    for suite in SUITES.values():
        assert set(suite.modes) <= MODES.keys()
        assert set(suite.contenders or ()) <= contenders.CONTENDERS.keys()
        assert set(suite.problems or ()) <= problems.BY_NAME.keys()
    assert CONTENDER_CAPS.keys() <= contenders.CONTENDERS.keys()
    assert problems.BY_NAME.keys() >= LIVE_NAMES


def test_a_seed_is_complete_before_the_next() -> None:
    wanted = tasks({"hpo": ["a", "b"], "random": ["a"]}, ["q1", "q8"], ["a", "b"], seeds=2)
    assert [(t.seed, t.mode, t.problem, t.contender) for t in wanted[:6]] == [
        (0, "q1", "a", "hpo"),
        (0, "q1", "a", "random"),
        (0, "q1", "b", "hpo"),
        (0, "q8", "a", "hpo"),
        (0, "q8", "a", "random"),
        (0, "q8", "b", "hpo"),
    ]
    assert [t.seed for t in wanted] == [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    ("contender", "expected"), [("hpo", 20), ("ax", 1), ("hebo", 1), ("botorch", 1), ("optuna_gp", 5)]
)
def test_expensive_contenders_run_fewer_seeds(contender: str, expected: int) -> None:
    live = min(LIVE_NAMES)
    wanted = tasks({contender: ["a", live]}, ["q1"], ["a", live], seeds=20)
    assert sum(task.problem == "a" for task in wanted) == expected == seeds_of(contender, "a", 20)
    assert sum(task.problem == live for task in wanted) == min(expected, LIVE_CAP.seeds)


def test_parity_runs_every_seed_of_its_own_problems() -> None:
    suite = SUITES["parity"]
    names = chosen_problems(Choice(suite), problems.BY_NAME, problems.FAMILIES, problems.half)
    assert sorted(names) == sorted(suite.problems or ())
    wanted = tasks({"botorch": names}, suite.modes, names, suite.seeds, is_capped=suite.is_capped)
    assert len(wanted) == 30 * len(names)


def test_caps_are_said_with_their_reasons() -> None:
    assert cap_words(["hpo", "ax"], ["a"], 20) == [f"ax: 1 of 20 seeds; {CONTENDER_CAPS['ax'].reason}"]
    assert cap_words(["hpo"], ["a", *LIVE_NAMES], 20) == [f"live problems: 10 of 20 seeds; {LIVE_CAP.reason}"]
    assert cap_words(["ax"], [*LIVE_NAMES], 1) == []


def test_the_smallest_problems() -> None:
    assert smallest(["a", "b", "c", "d"], SOME, 3) == ["b", "c", "d"]
    assert smallest(["a", "b"], SOME, None) == ["b", "a"]


def test_problems_by_family_half_and_name() -> None:
    assert chosen() == ["b", "a", "c", "d"]
    assert chosen(families=["mixed"]) == ["c", "d"]
    assert chosen(half="validation") == ["b", "d"]
    assert chosen(problems=["d", "a"], half="development") == ["a"]


def test_the_quick_suite_has_some_of_every_family() -> None:
    quick = chosen_problems(Choice(SUITES["quick"]), problems.BY_NAME, problems.FAMILIES, problems.half)
    assert {problems.BY_NAME[name].family for name in quick} == problems.FAMILIES.keys()
    assert len(quick) == 2 * len(problems.FAMILIES)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"problems": ["z"]}, r"no problem 'z' \(have: a, b"),
        ({"families": ["z"]}, r"no family 'z' \(have: single, mixed"),
    ],
)
def test_names_that_are_none_are_refused(fields: dict[str, list[str]], words: str) -> None:
    with pytest.raises(SystemExit, match=words):
        chosen(**fields)


def test_what_has_a_result_is_not_run_again() -> None:
    wanted = [Task("hpo", "q1", "b", seed) for seed in range(4)]
    done = [
        a_run(problem="b", seed=0, total=10),
        a_run(problem="b", seed=1, total=9),  # another budget
        a_run(problem="b", seed=2, total=10, died="crash"),
    ]
    assert unfinished(wanted, done, SOME, again=False) == [wanted[1], wanted[3]]
    assert unfinished(wanted, done, SOME, again=True) == wanted[1:]

"""What was reported: dropped where only tracked, set aside where probably wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hpo
from hpo.errors import MissingMetric, NotANumber, NotFinite, UnknownMetric
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Constraint, Metric, Objective, Tracked
from hpo.strategies import Random
from hpo.trials.results import Checked, by_name, checked_result

METRICS: list[Metric] = [Objective("y"), Constraint("c", upper=1.0), Tracked("z"), Tracked("share", range=(0, 1))]
GOOD = {"y": 1.0, "c": 0.5}
NO_NUMBERS = [
    *(None, "high", [0.5], (0.5,), {"a": 1}, 1j, True, object()),
    *(np.array([0.1, 0.2]), np.array([]), np.datetime64("2026-01-01")),
    *(math.nan, math.inf, -math.inf, 10**400, np.float32("nan")),
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda v: f"{type(v).__name__}-{str(v)[:9]}")
def test_what_is_no_finite_number_is_dropped_where_it_is_tracked_and_refused_elsewhere(value: Any) -> None:
    for result in (value, Measurement(value), Measurement(value, 0.1)):
        checked = checked_result(METRICS, {**GOOD, "z": result}, "trial 3")
        assert checked.values == {"y": Measurement(1.0), "c": Measurement(0.5)}
        assert len(checked.notes) == 1
        assert checked.notes[0].startswith("z is not recorded: ")
        assert len(checked.notes[0]) < 300
        for name in ("y", "c"):
            with pytest.raises((NotANumber, NotFinite), match=f"trial 3: metric '{name}' is"):
                checked_result(METRICS, {**GOOD, name: result}, "trial 3")


def test_a_broken_standard_error_costs_a_tracked_metric_only_that() -> None:
    for sem in (math.nan, -1.0, "wide"):
        checked = checked_result(METRICS, {**GOOD, "z": Measurement(3.0, sem)}, "trial 3")  # type: ignore[arg-type]
        assert checked.values["z"] == Measurement(3.0)
        assert checked.notes == (
            f"the standard error of z is not recorded: {sem!r} ({type(sem).__name__}) is no finite number of at least 0",
        )


def test_a_repr_that_fails_or_is_long_costs_nothing() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    notes = checked_result(METRICS, {**GOOD, "z": Rude(), "share": "x" * 10_000}, "trial 3").notes  # type: ignore[dict-item]
    assert notes[0] == "z is not recorded: a Rude (Rude) is not a finite number"
    assert len(notes[1]) < 300


def test_what_is_out_of_range_is_set_aside_or_dropped() -> None:
    metrics: list[Metric] = [
        Objective("y", range=(0, 1)),
        Constraint("c", upper=1.0, range=(0, None)),
        Tracked("share", range=(0, 1)),
    ]
    fine = checked_result(metrics, {"y": 1, "c": 0, "share": 0}, "trial 3")
    assert (fine.notes, fine.set_aside) == ((), "")
    assert fine.to_json() == {"values": {"y": [1.0, None], "c": [0.0, None], "share": [0.0, None]}}, "as it always was"
    wrong = checked_result(metrics, {"y": 93, "c": -1, "share": 50}, "trial 3")
    assert wrong.values == {"y": Measurement(93.0), "c": Measurement(-1.0)}
    assert wrong.set_aside == "range"
    assert wrong.notes == (
        "y 93 is outside its range 0..1",
        "c -1 is outside its range at least 0",
        "share 50 is outside its range 0..1; it is not recorded",
    )
    assert wrong.to_json()["set_aside"] == "range"
    rounded = {"y": 1.0 + 1e-12, "c": -1e-16}
    assert checked_result(metrics, rounded, "trial 3").set_aside == "", "rounding is forgiven"
    assert checked_result(metrics, {"y": 1.0000001, "c": 0}, "trial 3").notes == (
        "y 1.0000001 is outside its range 0..1",
    )


def study(*metrics: Any, data: str = "") -> hpo.Study:
    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), metrics or [Objective("acc")])
    return hpo.open_study("s", problem, storage=":memory:", seed=1, strategy=Random(), data=data)


def told(s: hpo.Study, *values: float) -> hpo.Trial:
    """After these results of the first metric."""
    for value in values:
        last = s.tell(s.ask(), {s.problem.metrics[0].name: value})
    return last


LEVEL = [0.9 + 0.001 * i for i in range(10)]


@pytest.mark.parametrize("face", ["tell", "number", "run", "add", "late"])
def test_a_leap_is_set_aside_before_it_becomes_best_by_every_face(face: str, caplog: pytest.LogCaptureFixture) -> None:
    s = study()
    told(s, *LEVEL)
    match face:
        case "tell":
            told(s, 93.0)
        case "number":
            s.tell(s.ask().number, {"acc": 93.0})
        case "run":
            hpo.run(s, lambda _: {"acc": 93.0}, budget=hpo.Budget(trials=11))
        case "add":
            s.add({"x": 0.5}, {"acc": 93.0})
        case "late":
            trial = s.ask()
            s.fail(trial, "timeout")
            s.tell(trial, {"acc": 93.0})
    slip = s.trials[-1]
    assert (str(slip.state), slip.set_aside, float(slip.values["acc"])) == ("completed", "leap", 93.0)
    assert slip.notes == (
        "acc 93 is 2.48e+04 robust deviations better than the best of 10 other results, which are 0.9 to 0.909 (is a unit "
        "or a sign wrong?)",
    )
    assert "trial 10 is set aside: acc 93 is 2.48e+04 robust deviations" in caplog.text
    assert 'study.accept(10, reason="...")' in caplog.text
    history = s.history
    assert [t.number for t in (history.best, history.closest(), *history.pareto_front)] == [9, 9, 9]
    assert s.recommended.number != 10
    assert history.set_aside == (slip,)
    assert "[set aside: leap]" in repr(slip)
    assert history.records()[-1]["set_aside"] == "leap"


def test_a_third_result_of_its_size_is_a_level_that_has_been_reached() -> None:
    s = study()
    told(s, *LEVEL)
    assert [told(s, value).set_aside for value in (93.0, 91.0, 95.0, 80.0)] == ["leap", "leap", "", ""]
    assert s.best.value == 95.0
    assert told(s, 9e4).set_aside == "leap", "the next one is another"


def test_it_is_accepted_or_corrected_with_a_reason_and_the_log_tells_the_same() -> None:
    s = study()
    told(s, *LEVEL, 93.0, 91.0)
    with pytest.raises(hpo.errors.SettingsError, match=r'accept\(trial, reason="\.\.\."\)'):
        s.accept(10, reason=" ")
    accepted = s.accept(10, reason="measured twice")
    assert (accepted.set_aside, accepted.notes[-1], s.best.number) == ("", "accepted: measured twice", 10)
    assert s.accept(10, reason="again") == accepted
    assert s.tell(11, {"acc": 91.0}).set_aside == "leap", "the same again changes nothing"
    assert s.tell(11, {"acc": 91.0}, replace=True, reason="it is right").set_aside == ""
    corrected = s.tell(11, {"acc": 0.91}, replace=True, reason="percent")
    assert (corrected.set_aside, corrected.notes) == ("", ())
    assert s.tell(11, {"acc": 9.1e5}, replace=True, reason="oh").set_aside == "leap", "a correction is looked at too"
    assert [e.kind for e in s.events()][-4:] == ["accepted", "accepted", "corrected", "corrected"]
    running = s.ask()
    with pytest.raises(hpo.errors.TrialStateError, match="is running; only a result can be accepted"):
        s.accept(running, reason="why not")
    assert s.replay().is_identical


def test_a_slip_among_results_that_this_process_has_not_read_is_seen_too(tmp_path: Any) -> None:
    s = hpo.open_study("s", study().problem, storage=tmp_path / "h.db", seed=1, strategy=Random())
    behind = hpo.open_study("s", storage=tmp_path / "h.db")
    trials = s.ask(30)
    for trial in trials[:-1]:
        s.tell(trial, {"acc": 0.9 + 0.001 * trial.number})
    assert behind.tell(29, {"acc": 93.0}) == s.trials[29]
    assert s.trials[29].set_aside == "leap"


def test_a_declared_range_decides_alone() -> None:
    s = study(Objective("acc", range=(0, 100)))
    assert told(s, *LEVEL, 93.0).set_aside == ""
    assert told(s, 101.0).set_aside == "range"
    assert s.best.value == 93.0


def test_with_several_objectives_each_is_looked_at() -> None:
    s = study(Objective("a"), Objective("b", "minimize"))
    for i in range(10):
        s.tell(s.ask(), {"a": 0.9 + 0.001 * i, "b": 0.5 - 0.001 * i})
    assert s.tell(s.ask(), {"a": 0.9, "b": -50.0}).set_aside == "leap"
    assert [t.number for t in s.pareto_front] == [9]


# -- what models learn ----------------------------------------------------------------------------------------------------


def test_a_leap_is_as_good_as_the_best_other_to_the_models_and_other_set_aside_results_are_not_there() -> None:
    from hpo.bayes.data import training_data
    from hpo.problem.encoding import Encoder

    s = study(Objective("acc", "minimize"), Objective("b", range=(0, 1)), data="now")
    for i in range(10):
        s.tell(s.ask(), {"acc": 0.5 + 0.01 * i, "b": 0.5})
    s.tell(s.ask(), {"acc": -80.0, "b": 0.5})
    s.tell(s.ask(), {"acc": 0.1, "b": 7.0})
    s.add({"x": 0.5}, {"acc": 0.1, "b": 0.5}, data="then")
    assert [t.set_aside for t in s.trials[10:]] == ["leap", "range", "data"]
    data = training_data(s.history, Encoder(s.problem.space))
    assert len(data.X) == 11
    assert data.objectives[0].y.max() == data.objectives[0].y[10] == data.objectives[0].y[0] == -0.5
    assert data.feasible.tolist() == [True] * 10 + [False]


# -- other data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "given", "kind", "note"),
    [
        ("a", "a", "", None),
        ("", "", "", None),
        ("a", "b", "data", "measured on other data: b; that of this study is a"),
        ("", "b", "data", "measured on data b, and this study does not say what its own is: open_study(..., data=...)"),
        ("a", "", "", "taken as measured on the study's data, a: add(..., data=...)"),
    ],
)
def test_results_of_other_data_are_never_an_answer(own: str, given: str, kind: str, note: str | None) -> None:
    s = study(Objective("acc"), Constraint("c", upper=1.0), data=own)
    added = s.add({"x": 0.5}, {"acc": 5.0, "c": 0.0}, "last year's", data=given)
    assert (added.set_aside, added.notes, added.message) == (kind, (note,) if note else (), "last year's")
    assert s.events()[-1].data.get("data", "") == given
    s.tell(s.ask(), {"acc": 1.0, "c": 0.5})
    wanted = 1 if kind else 0
    assert [t.number for t in (s.best, s.closest(), s.recommended, s.pareto_front[0])] == [wanted] * 4
    assert len(s.history.completed) == (1 if kind else 2)
    assert s.history.misses() == {"c": 0}
    assert (added.key in s.history.taken) == (not kind), "on other data it has yet to be tried"
    if kind:
        assert s.accept(added, reason="the same rows, sorted").set_aside == ""
        assert s.best.number == 0


def test_old_results_leave_the_initial_design_and_a_finite_space_to_the_new_data() -> None:
    problem = hpo.Problem(hpo.Space({"n": hpo.Int(1, 8)}), [Objective("acc")])
    s = hpo.open_study("s", problem, storage=":memory:", seed=1, data="now")
    for n in range(1, 9):
        s.add({"n": n}, {"acc": float(n)}, data="then")
    asked = s.ask(6)
    assert {t.why["role"] for t in asked} == {"initial"}
    for trial in [*asked, *s.ask(2)]:
        s.tell(trial, {"acc": -float(trial.params["n"])})
    assert s.best.params == {"n": 1}
    assert {t.params["n"] for t in s.history.completed} == set(range(1, 9))
    with pytest.raises(hpo.SpaceExhausted):
        s.ask()
    assert s.replay().is_identical


def test_without_any_result_that_counts_the_answers_say_why() -> None:
    s = study(Objective("acc", range=(0, 1)))
    told(s, 93.0)
    answers: list[Callable[[], hpo.Trial]] = [lambda: s.best, s.closest, lambda: s.recommended]
    for answer in answers:
        with pytest.raises(
            hpo.NoFeasibleTrial, match=r"1 set aside, the last #0: acc 93 is outside .* study\.accept\(0, "
        ):
            answer()
    assert s.pareto_front == ()
    assert repr(s).startswith("<Study 's': 1 trial, ")


def test_of_several_reasons_other_data_come_first() -> None:
    assert Checked({}).aside("range", "a").aside("leap", "b") == Checked({}, ("a", "b"), "range")
    assert Checked({}).aside("range", "a").aside("data", "b") == Checked({}, ("a", "b"), "data")


def test_a_correction_does_not_move_a_result_to_the_data_of_the_study() -> None:
    s = study(data="now")
    s.add({"x": 0.5}, {"acc": 5.0}, data="then")
    corrected = s.tell(0, {"acc": 0.5}, replace=True, reason="typing error")
    assert (corrected.set_aside, corrected.notes) == ("data", ("measured on other data than the study's",))
    assert not s.history.has_best


def test_no_strategy_starts_from_a_leap() -> None:
    problem = hpo.Problem(hpo.Space({"a": hpo.Float(0, 1), "b": hpo.Float(0, 1)}), [Objective("acc")])
    s = hpo.open_study("s", problem, storage=":memory:", seed=1, strategy=hpo.strategies.OneAtATime(10))
    for i in range(10):
        s.tell(s.ask(), {"acc": 0.9 + 0.001 * i})
    slip = s.tell(s.ask(), {"acc": 93.0})
    assert slip.set_aside == "leap"
    assert s.ask().params["a"] == s.best.params["a"] != slip.params["a"]


@pytest.mark.parametrize("data", [5, None, b"d1", ["d1"]])
def test_data_are_named_by_a_text(data: Any) -> None:
    with pytest.raises(hpo.errors.SettingsError, match="name the data by a text"):
        study(Objective("acc"), data=data)
    with pytest.raises(hpo.errors.SettingsError, match="name the data by a text"):
        study(Objective("acc")).add({"x": 0.5}, 1.0, data=data)


LIMITED: list[Metric] = [Objective("y", threshold=0.5), Constraint("latency", upper=15, unit="ms"), Tracked("z")]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (
            {"latency": 1.0},
            MissingMetric,
            "trial 3 reported {'latency'}; missing 'y' (limit >= 0.5). Nothing is recorded",
        ),
        (
            {"Y": 1.0, "z": 1.0},
            MissingMetric,
            "trial 3 reported {'Y', 'z'}; missing 'y', 'latency' (limit >= 0.5). Is 'Y' a misspelling of it? "
            "Nothing is recorded",
        ),
        (
            {"y": 1.0, "latency": 1.0, "latenzy": 1.0},
            UnknownMetric,
            "trial 3 reported {'y', 'latency', 'latenzy'}; unknown 'latenzy' (have: y, latency, z). "
            "Did you mean 'latency'? Add it to the problem as Tracked, or leave it out. Nothing is recorded",
        ),
        (
            {"y": "high", "latency": 1.0},
            NotANumber,
            "trial 3: metric 'y' is 'high' (str), not a number. Nothing is recorded",
        ),
        (
            {"y": True, "latency": 1.0},
            NotANumber,
            "trial 3: metric 'y' is True (bool), not a number. Nothing is recorded",
        ),
        (
            {"y": math.nan, "latency": 1.0},
            NotFinite,
            "trial 3: metric 'y' is nan. Report a finite number, or study.fail(trial, \"diverged\") so that the region is "
            "learned. Nothing is recorded",
        ),
        (
            {"y": 10**400, "latency": 1.0},
            NotFinite,
            "trial 3: metric 'y' is beyond the largest 64-bit float. Report a finite number, or study.fail(trial, "
            '"diverged") so that the region is learned. Nothing is recorded',
        ),
        (
            {"y": Measurement(1.0, -0.5), "latency": 1.0},
            NotFinite,
            "trial 3: the standard error of metric 'y' is -0.5, below 0. Nothing is recorded",
        ),
        (
            {"y": Measurement(1.0, math.inf), "latency": 1.0},
            NotFinite,
            "trial 3: standard error of metric 'y' is inf. Report a finite number, or study.fail(trial, "
            '"diverged") so that the region is learned. Nothing is recorded',
        ),
        (
            3.0,
            NotANumber,
            "trial 3 reported 3.0; a result is a mapping of metric name to number, like {'y': ..., 'latency': ..., "
            "'z': ...}. Nothing is recorded",
        ),
    ],
)
def test_a_result_that_breaks_a_contract_is_refused_in_words(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        checked_result(LIMITED, given, "trial 3")
    assert (type(caught.value), str(caught.value)) == (error, words)


@pytest.mark.parametrize("alone", [2, 2.0, np.float32(2), Measurement(2.0)])
def test_one_number_alone_belongs_to_the_one_required_metric(alone: Any) -> None:
    assert checked_result([Tracked("z"), Objective("y")], alone, "trial 3").values == {"y": Measurement(2.0)}
    assert by_name([Objective("y"), Objective("t")], alone) is alone
    assert by_name([Tracked("z")], alone) is alone


def test_an_exact_standard_error_is_kept() -> None:
    assert checked_result(LIMITED, {"y": Measurement(1.0, 0.0), "latency": 1.0}, "").values["y"] == Measurement(
        1.0, 0.0
    )


def test_of_several_reasons_the_first_counts_and_other_data_before_all() -> None:
    checked = Checked({}).aside("range", "first").aside("leap", "second")
    assert (checked.set_aside, checked.notes) == ("range", ("first", "second"))
    assert checked.aside("data", "third").set_aside == "data"
    assert checked.to_json() == {"values": {}, "notes": ["first", "second"], "set_aside": "range"}

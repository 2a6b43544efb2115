"""Every contender whose environment is built: what it asks lies in the space, and it learns from what it is told.

Also the parts that the adapters share, against this library's own space and metrics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import hpo
from benchmarks.contenders import CONTENDERS, contender, is_installed, load
from benchmarks.contenders.base import Result, best_feasible
from benchmarks.contenders.penalty import penalized, worst
from benchmarks.contenders.spec import Spec, parse
from benchmarks.environments import PINS
from benchmarks.problems.base import Outcome
from benchmarks.process import ContenderProcess
from hpo.problem.json_format import problem_to_json
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import is_feasible

MIXED = hpo.Space(
    {
        "rate": hpo.Float(1e-4, 1e-1, log=True),
        "width": hpo.Int(8, 512, log=True),
        "kind": hpo.Categorical(["a", "b", None, True]),
        "keep": hpo.Float(0.0, 0.9, step=0.1),
        "even": hpo.Int(2, 21, step=2),
        "size": hpo.Categorical([16, 32, 128], ordered=True),
        "fixed": hpo.Categorical(["only"]),
        "momentum": hpo.Float(-1.0, 1.0, active_if={"kind": ["a", None]}),
        "depth": hpo.Int(1, 5, active_if={"kind": ["a"], "size": [16, 32]}),
        "below": hpo.Float(0.0, 1.0, active_if={"kind": ["b"]}),
        "inner": hpo.Categorical(["p", "q"], active_if={"kind": ["b"]}),
        "deep": hpo.Int(1, 9, active_if={"inner": ["q"]}),
    }
)
SQUARE = hpo.Space({"x": hpo.Float(0.0, 1.0), "y": hpo.Float(0.0, 1.0)})
OPTIMUM = {"x": 0.3, "y": 0.7}

ONE = hpo.Problem(MIXED, [hpo.Objective("score", "maximize")])
BOWL = hpo.Problem(SQUARE, [hpo.Objective("loss", "minimize")])
LIMITED = hpo.Problem(
    SQUARE,
    [
        hpo.Objective("score", "maximize"),
        hpo.Constraint("sum", lower=0.2, upper=1.5),
        hpo.Constraint("x", upper=0.9),
    ],
)
ONE_LIMIT = hpo.Problem(SQUARE, [hpo.Objective("score", "maximize"), hpo.Constraint("sum", lower=0.9)])
SEVERAL = hpo.Problem(
    SQUARE, [hpo.Objective("loss", "minimize", threshold=1.0), hpo.Objective("x", "maximize", threshold=0.0)]
)
UNINFORMED = ("random", "sobol", "grid")
ONE_ASK_MAY_BE_RANDOM = ("ax", "smac", "hyperopt")


def distance(params: Mapping[str, Any]) -> float:
    return float(sum((params[name] - best) ** 2 for name, best in OPTIMUM.items()))


def measured(problem: hpo.Problem, params: Mapping[str, Any]) -> dict[str, float]:
    if problem.space is MIXED:
        return {"score": -params["keep"] + params["even"] / 20 + params.get("momentum", 0.0)}
    x, y = params["x"], params["y"]
    every = {"loss": distance(params), "score": -distance(params), "sum": x + y, "x": x}
    return {m.name: every[m.name] for m in problem.metrics}


@pytest.fixture(scope="module", params=list(CONTENDERS))
def process(request: pytest.FixtureRequest) -> Iterator[ContenderProcess]:
    environment = CONTENDERS[request.param].environment
    if not is_installed(request.param):
        pytest.skip(f"environment {environment} is not built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXX", "false")  # BoTorch would compile a kernel for minutes, and does without
        with ContenderProcess(request.param) as running:
            yield running


def taught(process: ContenderProcess, problem: hpo.Problem, n: int) -> list[dict[str, Any]]:
    """Opened, and given `n` results of random points."""
    process.open(problem, 5, budget=30, q=1)
    points = problem.space.sample(np.random.default_rng(1), n)
    for params in points:
        assert process.add(params, measured(problem, params)) >= 0
    return points


def test_a_mixed_space_with_conditions(process: ContenderProcess) -> None:
    firsts = []
    for _ in range(2):
        process.open(ONE, 3, budget=40, q=3)
        asked = process.ask(3)
        assert len(asked.trials) == 3
        assert asked.cpu >= 0
        firsts.append([trial.params for trial in asked.trials])
        for trial in reversed(asked.trials[1:]):
            process.tell(trial.id, Outcome(measured(ONE, trial.params)))
        process.tell(asked.trials[0].id, Outcome(None, "diverged"))
        (more,) = process.ask().trials
        process.tell(more.id, Outcome(None, "infra"))
        trials = [*asked.trials, more]
        assert len({trial.id for trial in trials}) == 4
        for trial in trials:
            assert MIXED.fault(trial.params) is None
            assert list(trial.params) == list(MIXED.canonical(trial.params))
        assert process.recommend() in [asked.trials[1].params, asked.trials[2].params]
        production = MIXED.start()
        process.add(production, {"score": 10.0})
        assert process.recommend() == production
    for params in MIXED.sample(np.random.default_rng(2), 12):
        process.add(params, measured(ONE, params))
    (trial,) = process.ask().trials
    assert MIXED.fault(trial.params) is None
    assert firsts[0] == firsts[1]


def test_results_are_learned_from(process: ContenderProcess) -> None:
    points = taught(process, BOWL, 20)
    (first,) = process.ask().trials
    others = process.ask(2).trials
    asked = [trial.params for trial in (first, *others)]
    assert all(SQUARE.fault(params) is None for params in asked)
    if process.contender not in UNINFORMED:
        assert len({json.dumps(params) for params in asked}) == 3
        assert np.mean([distance(p) for p in asked]) < np.median([distance(p) for p in points])
    recommended = process.recommend()
    assert recommended is not None
    assert distance(recommended) <= np.quantile([distance(p) for p in points], 0.2)


@pytest.mark.parametrize("problem", [LIMITED, ONE_LIMIT], ids=["three limits", "one limit"])
def test_constraints(process: ContenderProcess, problem: hpo.Problem) -> None:
    if problem is ONE_LIMIT and process.contender == "hebo":
        pytest.skip("seconds an ask, and to HEBO one limit is a list of one")
    points = taught(process, problem, 15)
    (trial,) = process.ask().trials
    assert SQUARE.fault(trial.params) is None
    process.tell(trial.id, Outcome(None, "oom"))
    if process.contender not in (*UNINFORMED, *ONE_ASK_MAY_BE_RANDOM):
        assert distance(trial.params) < np.median([distance(p) for p in points])
    recommended = process.recommend()
    assert recommended is not None
    values = measured(problem, recommended)
    assert is_feasible(problem.metrics, {name: Measurement(value) for name, value in values.items()})


def test_several_objectives(process: ContenderProcess) -> None:
    if not contender(process.contender).takes(SEVERAL):
        with pytest.raises(ValueError, match="cannot enter"):
            process.open(SEVERAL, 0, budget=10, q=1)
        return
    taught(process, SEVERAL, 12)
    trials = process.ask(2).trials
    assert all(SQUARE.fault(trial.params) is None for trial in trials)
    for trial in trials:
        process.tell(trial.id, Outcome(measured(SEVERAL, trial.params)))
    assert process.recommend() is None


def test_versions_are_those_of_the_pins(process: ContenderProcess) -> None:
    known = contender(process.contender)
    versions = process.versions()
    assert {"python", *known.packages} == set(versions)
    if known.environment is not None:
        pins = dict(line.split("==") for line in (PINS / f"{known.environment}.txt").read_text().split())
        for name in {*known.packages} & {*pins}:
            assert versions[name] == pins[name]
    assert process.import_cpu > 0
    assert process.peak_memory() > 10


def test_the_grid_ends() -> None:
    problem = hpo.Problem(SQUARE, [hpo.Objective("loss", "minimize")])
    with ContenderProcess("grid") as grid:
        grid.open(problem, 0, budget=6, q=4)
        assert [len(grid.ask(4).trials) for _ in range(3)] == [4, 2, 0]


def test_an_unknown_contender_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no contender 'botroch'.*have: hpo, random"):
        load("botroch")


def spec_of(problem: hpo.Problem) -> Spec:
    return parse(json.loads(json.dumps(problem_to_json(problem))))


def test_any_coordinates_are_a_configuration() -> None:
    spec, rng = spec_of(ONE), np.random.default_rng(0)
    for u in rng.uniform(-0.1, 1.1, (300, len(MIXED))):
        params = spec.from_axes({p.name: p.axis.at(float(x)) for p, x in zip(spec.parameters, u, strict=True)})
        assert MIXED.fault(params) is None


def test_coordinates_lead_back() -> None:
    spec = spec_of(ONE)
    for params in MIXED.sample(np.random.default_rng(0), 200):
        back = spec.from_axes(spec.to_axes(params))
        assert list(back) == list(params)
        for name, value in params.items():
            assert back[name] == (pytest.approx(value, rel=1e-8, abs=1e-9) if isinstance(value, float) else value)


def test_every_value_of_an_axis_is_a_value_of_the_parameter() -> None:
    for p in spec_of(ONE).parameters:
        size = MIXED[p.name].size
        if p.axis.kind != "real" and p.name != "width":
            assert size == p.axis.size
            assert [p.value(p.axis.low + i) for i in range(size or 0)] == MIXED[p.name].values()
        for x in (p.axis.low, p.axis.high):
            assert p.axis.at(p.axis.position(x)) == pytest.approx(x)


def test_what_hangs_below_a_choice() -> None:
    """Only what depends on one unordered choice and nothing else; at any depth."""
    spec = spec_of(
        hpo.Problem(
            hpo.Space(
                {
                    "kind": hpo.Categorical(["a", "b"]),
                    "size": hpo.Categorical([1, 2, 3], ordered=True),
                    "rate": hpo.Float(0.0, 1.0, active_if={"kind": ["b"]}),
                    "inner": hpo.Categorical(["p", "q"], active_if={"kind": ["b"]}),
                    "deep": hpo.Int(1, 5, active_if={"inner": ["q"]}),
                    "either": hpo.Int(1, 5, active_if={"kind": ["a", "b"]}),
                    "both": hpo.Int(1, 5, active_if={"kind": ["a"], "size": [2]}),
                    "big": hpo.Int(1, 5, active_if={"size": [3]}),
                }
            ),
            [hpo.Objective("score")],
        )
    )
    below = {p.name: [[child.name for child in children] for children in spec.below(p)] for p in spec.parameters}
    assert {name: names for name, names in below.items() if any(names)} == {
        "kind": [[], ["rate", "inner"]],
        "inner": [[], ["deep"]],
    }
    assert [p.name for p in spec.top] == ["kind", "size", "either", "both", "big"]


@pytest.mark.parametrize("problem", [LIMITED, ONE_LIMIT, SEVERAL], ids=["three limits", "one limit", "thresholds"])
def test_feasibility_is_that_of_the_library(problem: hpo.Problem) -> None:
    spec, seen = spec_of(problem), set()
    for params in SQUARE.sample(np.random.default_rng(2), 200):
        values = measured(problem, params)
        feasible = is_feasible(problem.metrics, {name: Measurement(value) for name, value in values.items()})
        assert spec.is_feasible(values) == feasible
        seen.add(feasible)
    assert seen == ({True} if problem is SEVERAL else {True, False})
    assert not spec_of(SEVERAL).is_feasible({"loss": 1.1, "x": 0.5})
    assert spec_of(SEVERAL).is_feasible({"loss": 1.0, "x": 0.0})


def told(score: float, total: float) -> Result:
    return Result({}, {"score": score, "sum": total})


def test_penalties() -> None:
    """With losses of 1 and 3 feasible (range 2) and excesses of 0.2 and 0.4 seen: 3 + 2 * (0.1 + share)."""
    spec = spec_of(ONE_LIMIT)  # score is maximized, sum >= 0.9
    known = [told(-1.0, 1.0), told(-3.0, 0.9), told(5.0, 0.7), told(5.0, 0.5)]
    assert penalized(spec, known[0], known) == 1.0
    assert penalized(spec, known[1], known) == 3.0
    assert penalized(spec, known[2], known) == pytest.approx(3 + 2 * (0.1 + 0.5))
    assert penalized(spec, known[3], known) == pytest.approx(3 + 2 * (0.1 + 1.0))
    failed = Result({}, None, "oom")
    assert penalized(spec, failed, [*known, failed]) == pytest.approx(3 + 2 * 1.1)
    assert penalized(spec, failed, [failed]) is None
    assert worst(spec, [*known, failed]) == {"score": -3.0, "sum": 0.5}
    assert worst(spec, [failed]) is None


def test_best_feasible_looks_at_limits_and_direction() -> None:
    spec = spec_of(ONE_LIMIT)
    results = [Result({"x": i}, {"score": score, "sum": total}) for i, (score, total) in enumerate([(1, 1), (2, 1)])]
    assert best_feasible(spec, [*results, Result({"x": 9}, {"score": 3.0, "sum": 0.0})]) == {"x": 1}
    assert best_feasible(spec, [Result({"x": 9}, None, "oom")]) is None

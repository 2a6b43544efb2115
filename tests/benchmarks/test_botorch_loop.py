"""The encoding of the plain BoTorch loop, and what it does beyond the contract of every contender."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

import hpo
from benchmarks.contenders.base import Opening, Proposal, Result
from benchmarks.contenders.cube import decoded, encoded, from_unit, top, values
from benchmarks.contenders.spec import Spec, parse
from hpo.problem.json_format import problem_to_json

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch

    from benchmarks.contenders import botorch_loop
    from benchmarks.contenders.botorch_loop import INITIAL_POINTS, BotorchLoop, limits, reference_point

SPACE = hpo.Space(
    {
        "rate": hpo.Float(1e-4, 1e-1, log=True),
        "width": hpo.Int(8, 512, log=True),
        "kind": hpo.Categorical(["a", "b", "c"]),
        "only": hpo.Categorical([3]),
        "share": hpo.Float(-1.0, 3.0),
        "even": hpo.Int(0, 8, step=2, active_if={"kind": ["c"]}),
    }
)


def spec_of(space: hpo.Space, *metrics: Any) -> Spec:
    return parse(json.loads(json.dumps(problem_to_json(hpo.Problem(space, metrics or [hpo.Objective("f")])))))


def test_a_column_for_each_parameter_of_more_than_one_value() -> None:
    spec = spec_of(SPACE)
    row = encoded(spec, {"rate": 1e-3, "width": 64, "kind": "b", "only": 3, "share": 0.0})
    np.testing.assert_allclose(row, [1 / 3, 0.5, 1, 0.25, 0.5])  # what is inactive stands at its middle
    assert [top(p) for p in spec.free] == [1, 1, 2, 1, 1]
    assert [values(p) for p in spec.free if p.name in ("rate", "kind", "even")] == [
        [],
        [0, 1, 2],
        [0, 0.25, 0.5, 0.75, 1],
    ]


def test_a_choice_has_equal_shares_of_the_unit_cube() -> None:
    spec = spec_of(SPACE)
    kinds = [from_unit(spec, [0.5, 0.5, u, 0.5, 0.5])[2] for u in (0.0, 0.33, 0.34, 0.66, 0.67, 1.0)]
    assert kinds == [0, 0, 1, 1, 2, 2]


@pytest.mark.filterwarnings("ignore:Optimization failed in `gen_candidates_scipy`:RuntimeWarning")
def test_what_is_discrete_is_searched_as_such() -> None:
    """Twelve results, best at kind b and even numbers: the next point takes whole values without rounding them."""
    spec = spec_of(SPACE)
    results = [
        Result(p, {"f": (p["kind"] == "b") - abs(p["share"])}) for p in SPACE.sample(np.random.default_rng(3), 12)
    ]
    (row,) = botorch_loop.maximizers(spec, results, [], 1, 0).tolist()
    assert row[2] in (0, 1, 2)
    assert row[4] in (0, 0.25, 0.5, 0.75, 1)
    assert encoded(spec, decoded(spec, row))[:4] == pytest.approx(row[:4], abs=0.01)


def test_decoding_undoes_encoding() -> None:
    spec = spec_of(SPACE)
    for params in SPACE.sample(np.random.default_rng(0), 100):
        back = decoded(spec, encoded(spec, params))
        assert SPACE.fault(back) is None
        assert list(back) == list(params)
        for name, value in params.items():
            assert back[name] == (pytest.approx(value, rel=1e-7, abs=1e-8) if isinstance(value, float) else value)


def test_relaxed_points_are_rounded() -> None:
    params = decoded(spec_of(SPACE), [0.0, 1.0, 1.3, 1.0, 0.4])
    assert params == {"rate": 1e-4, "width": 512, "kind": "b", "only": 3, "share": 3.0}


def test_limits_are_below_zero_where_they_are_met() -> None:
    spec = spec_of(SPACE, hpo.Objective("f"), hpo.Constraint("g", lower=1.0, upper=3.0), hpo.Constraint("h", upper=0.0))
    samples = torch.tensor([[9.0, 2.0, -1.0], [9.0, 4.0, -1.0], [9.0, 0.0, 1.0]])
    met = [[bool(limit(samples)[i] <= 0) for limit in limits(spec)] for i in range(3)]
    assert met == [[True, True, True], [False, True, True], [True, False, False]]


def test_the_reference_point_is_the_thresholds_once_they_are_beaten() -> None:
    spec = spec_of(SPACE, hpo.Objective("f", "minimize", threshold=5.0), hpo.Objective("g", threshold=1.0))
    better = Result({}, {"f": 4.0, "g": 2.0})
    assert reference_point(spec, [better, Result({}, {"f": 3.0, "g": 1.5})]).tolist() == [-5.0, 1.0]
    free = spec_of(SPACE, hpo.Objective("f", "minimize"), hpo.Objective("g"))
    results = [better, Result({}, {"f": 3.0, "g": 1.0})]  # nadir (-4, 1), range (1, 1): a tenth of the range below
    assert reference_point(free, results).tolist() == pytest.approx([-4.1, 0.9])


def test_ten_sobol_points_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted over batches and trials in flight; then the acquisition is told what is in flight."""
    seen: list[int] = []

    def maximizers(spec: Spec, results: Any, pending: Any, n: int, seed: int) -> torch.Tensor:
        seen.append(len(pending))
        return torch.full((n, 2), 0.5, dtype=torch.float64)

    monkeypatch.setattr(botorch_loop, "maximizers", maximizers)
    space = hpo.Space({"x": hpo.Float(0.0, 1.0), "y": hpo.Float(0.0, 1.0)})
    loop = BotorchLoop(Opening(spec_of(space), 0, 20, 4))
    asked: list[Proposal] = []
    for _ in range(3):
        batch = loop.ask(4)
        asked += batch
        for proposal in batch[:3]:
            result = Result(proposal.params, {"f": proposal.params["x"]})
            loop.results.append(result)
            loop.tell(proposal, result)
    expected = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(INITIAL_POINTS, dtype=torch.float64)  # type: ignore[no-untyped-call]
    drawn = [[p.params["x"], p.params["y"]] for p in asked[:INITIAL_POINTS]]
    np.testing.assert_allclose(drawn, expected.numpy(), atol=1e-8)
    assert [p.params for p in asked[INITIAL_POINTS:]] == [{"x": 0.5, "y": 0.5}] * 2
    assert seen == [2 + 2]  # one of each earlier batch, and the two points before it in its own

"""The encoding of the plain BoTorch loop."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import hpo
from benchmarks.problems import SINGLE, TINY_FEASIBLE, BenchProblem

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from benchmarks.contenders.botorch_loop import BotorchLoop, decoded, encoded, n_columns

SPACE = hpo.Space(
    {
        "rate": hpo.Float(1e-4, 1e-1, log=True),
        "width": hpo.Int(8, 512, log=True),
        "kind": hpo.Categorical(["a", "b", "c"]),
        "share": hpo.Float(-1.0, 3.0),
    }
)


def test_one_column_a_number_and_one_a_choice() -> None:
    assert n_columns(SPACE) == 6
    row = encoded(SPACE, {"rate": 1e-3, "width": 64, "kind": "b", "share": 0.0})
    np.testing.assert_allclose(row, [1 / 3, 0.5, 0, 1, 0, 0.25])


@pytest.mark.parametrize("space", [SPACE, *(b.problem.space for b in SINGLE)], ids=lambda s: s.names[0])
def test_decoding_undoes_encoding(space: hpo.Space) -> None:
    for params in space.sample(np.random.default_rng(0), 100):
        back = decoded(space, encoded(space, params))
        assert space.fault(back) is None
        for name, value in params.items():
            assert back[name] == (pytest.approx(value, rel=1e-7, abs=1e-8) if isinstance(value, float) else value)


def test_relaxed_points_are_rounded() -> None:
    params = decoded(SPACE, [0.0, 1.0, 0.2, 0.3, 0.25, 1.0])
    assert params == {"rate": 1e-4, "width": 512, "kind": "b", "share": 3.0}


@pytest.mark.parametrize("bench", TINY_FEASIBLE[:1], ids=lambda b: b.name)
def test_constraints_are_refused(bench: BenchProblem) -> None:
    with pytest.raises(ValueError, match="no constraint"):
        BotorchLoop(bench.problem, 0)

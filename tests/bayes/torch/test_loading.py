"""A model carried over to BoTorch predicts what ours predicts."""

import numpy as np
import pytest
import torch

from hpo.bayes.gp import build, condition, fit
from hpo.bayes.kernel import Theta
from hpo.bayes.torch.isolation import isolated
from hpo.bayes.torch.loading import load, tensor


@pytest.mark.parametrize("known_noise", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_posterior_agrees(seed: int, known_noise: bool) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.random((25, 5)), rng.normal(size=25)
    noise = rng.random(25) * 0.1 if known_noise else None
    theta = Theta.from_vector(rng.normal(size=6) * 0.4 + np.array([-0.5, 0.0, -0.5, 0.5, 0.0, -4.0]), 4)
    gp = build(theta, X, y, groups=[0, 1, 1, 2, 3], noise=noise)
    at = np.concatenate([rng.random((8, 5)), X[:2]])
    mean, covariance = gp.joint(at)
    with isolated(0), torch.no_grad():
        posterior = load(gp).posterior(tensor(at))
        np.testing.assert_allclose(posterior.mean.numpy()[:, 0], mean, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(posterior.distribution.covariance_matrix.numpy(), covariance, rtol=1e-6, atol=1e-6)


def test_fitted_and_conditioned_models_agree_with_the_completed_trials_alone() -> None:
    rng = np.random.default_rng(5)
    X = rng.random((15, 2))
    gp = fit(X, np.sin(5.0 * X[:, 0]) + X[:, 1])
    at = rng.random((6, 2))
    with isolated(0), torch.no_grad():
        got = load(condition(gp, rng.random((3, 2)))).posterior(tensor(at))
    np.testing.assert_allclose(got.mean.numpy()[:, 0], gp.posterior(at)[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got.variance.numpy()[:, 0], gp.posterior(at)[1], rtol=1e-6, atol=1e-7)

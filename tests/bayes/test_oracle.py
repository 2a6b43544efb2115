"""Agreement with BoTorch and GPyTorch at equal hyperparameters, to 1e-6, on random data."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from hpo.bayes.acquisition.log_ei import Acquisition, LogEI, LogProbability
from hpo.bayes.gp.gp import GP, build, condition, sample_at
from hpo.bayes.gp.kernel import Theta
from hpo.bayes.gp.likelihood import Observations, log_marginal_likelihood
from hpo.common.arrays import Array

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # importing them uses torch.jit.script
    import gpytorch
    import torch
    from botorch.acquisition.analytic import (
        LogConstrainedExpectedImprovement,
        LogExpectedImprovement,
        LogProbabilityOfFeasibility,
        LogProbabilityOfImprovement,
    )
    from botorch.models import ModelListGP, SingleTaskGP
    from gpytorch.constraints import GreaterThan
    from gpytorch.kernels import MaternKernel, ScaleKernel
    from gpytorch.likelihoods import GaussianLikelihood

SHAPES = [(5, 1), (20, 6), (60, 20), (100, 3)]


@dataclass(frozen=True, eq=False)
class Twins:
    """One GP in both libraries, with the same data and hyperparameters."""

    ours: GP
    theirs: SingleTaskGP
    queries: Array


def tensor(X: Array) -> torch.Tensor:
    return torch.as_tensor(X, dtype=torch.float64)


def twins(n: int, d: int, seed: int, *, known_noise: bool = False) -> Twins:
    rng = np.random.default_rng(seed)
    X, y = rng.random((n, d)), rng.normal(size=n)
    y = (y - y.mean()) / y.std() + np.sin(5 * X[:, 0])
    learned = float(np.exp(rng.uniform(-7, -2)))
    theta = Theta(tuple(rng.normal(0.3, 0.7, d)), float(rng.normal(0, 0.5)), float(np.log(learned)))
    noise = rng.random(n) * 0.2 if known_noise else np.zeros(n)
    ours = build(theta, X, y, noise=noise)
    theirs = SingleTaskGP(
        tensor(X),
        tensor(y[:, None]),
        # Their fixed noise replaces the learned one, ours is added to it.
        train_Yvar=tensor((noise + learned)[:, None]) if known_noise else None,
        covar_module=ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=d)),
        likelihood=None if known_noise else GaussianLikelihood(noise_constraint=GreaterThan(1e-9)),
        outcome_transform=None,
    ).to(torch.float64)
    # Given as tensors: plain numbers would pass through single precision.
    theirs.covar_module.base_kernel.lengthscale = tensor(np.exp(np.array(theta.log_lengthscales)))
    theirs.covar_module.outputscale = tensor(np.array(theta.outputscale))
    if not known_noise:
        theirs.likelihood.noise = tensor(np.array([learned]))
    theirs.mean_module.constant = tensor(np.array(ours.mean))
    theirs.eval()
    return Twins(ours, theirs, rng.random((15, d)))


@pytest.fixture(autouse=True)
def exact_linear_algebra() -> Iterator[None]:
    with gpytorch.settings.fast_computations(False, False, False):
        yield


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("known_noise", [False, True])
def test_posterior(n: int, d: int, known_noise: bool) -> None:
    twin = twins(n, d, seed=n + d, known_noise=known_noise)
    with torch.no_grad():
        theirs = twin.theirs.posterior(tensor(twin.queries))
    mean, covariance = twin.ours.joint(twin.queries)
    np.testing.assert_allclose(mean, theirs.mean.numpy()[:, 0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(covariance, theirs.distribution.covariance_matrix.numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(twin.ours.posterior(twin.queries)[1], theirs.variance.numpy()[:, 0], rtol=1e-6)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_marginal_likelihood_and_its_gradient(n: int, d: int) -> None:
    twin = twins(n, d, seed=n + d)
    model = twin.theirs
    model.train()
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    total = mll(model(*model.train_inputs), model.train_targets) * n
    total.backward()
    kernel, noise = model.covar_module, model.likelihood.noise_covar
    by_log = [
        # d/dlog v = d/draw * v / (dv/draw), with v = softplus(raw) + bound and dv/draw = sigmoid(raw)
        (raw.grad * value / torch.sigmoid(raw)).detach().numpy().ravel()
        for raw, value in (
            (kernel.base_kernel.raw_lengthscale, kernel.base_kernel.lengthscale),
            (kernel.raw_outputscale, kernel.outputscale),
            (noise.raw_noise, noise.noise),
        )
    ]
    ours = twin.ours
    value, gradient = log_marginal_likelihood(ours.theta.vector, Observations(ours.X, ours.y, ours.noise), ours.layout)
    assert value == pytest.approx(total.item(), rel=1e-6)
    np.testing.assert_allclose(gradient, np.concatenate(by_log), rtol=1e-6, atol=1e-6)
    # The mean is where the likelihood is greatest.
    assert model.mean_module.raw_constant.grad.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_log_expected_improvement_and_its_gradient(n: int, d: int) -> None:
    twin = twins(n, d, seed=n + d)
    for best in (-1.0, 1.0, 4.0):
        check(Acquisition([(twin.ours, LogEI(best))]), LogExpectedImprovement(twin.theirs, best_f=best), twin.queries)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("limits", [(0.5, None), (None, -0.5), (-0.3, 0.4), (3.0, 4.0)])
def test_log_probability_of_feasibility(n: int, d: int, limits: tuple[float | None, float | None]) -> None:
    twin = twins(n, d, seed=n + d)
    lower, upper = limits
    ours = LogProbability(-np.inf if lower is None else lower, np.inf if upper is None else upper)
    theirs = LogProbabilityOfFeasibility(twin.theirs, constraints={0: limits})
    check(Acquisition([(twin.ours, ours)]), theirs, twin.queries)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_log_constrained_expected_improvement(n: int, d: int) -> None:
    objective, first, second = (twins(n, d, seed=s) for s in (1, 2, 3))
    theirs = LogConstrainedExpectedImprovement(
        ModelListGP(objective.theirs, first.theirs, second.theirs),
        best_f=0.8,
        objective_index=0,
        constraints={1: (0.2, None), 2: (-1.0, 0.5)},
    )
    ours = Acquisition(
        [
            (objective.ours, LogEI(0.8)),
            (first.ours, LogProbability(lower=0.2)),
            (second.ours, LogProbability(-1.0, 0.5)),
        ]
    )
    check(ours, theirs, objective.queries)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_probability_of_improvement(n: int, d: int) -> None:
    twin = twins(n, d, seed=n + d)
    improvement = LogProbabilityOfImprovement(twin.theirs, best_f=0.7)
    check(Acquisition([(twin.ours, LogProbability(lower=0.7))]), improvement, twin.queries)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_posterior_given_fantasies(n: int, d: int) -> None:
    twin = twins(n, d, seed=n + d)
    rng = np.random.default_rng(0)
    pending, s = rng.random((3, d)), 4
    draws = sample_at(twin.ours, pending, rng.normal(size=(3, s)))
    with torch.no_grad():
        twin.theirs.posterior(tensor(twin.queries))  # fills the caches it conditions from
        theirs = twin.theirs.condition_on_observations(
            tensor(np.tile(pending, (s, 1, 1))), tensor(draws.T[..., None])
        ).posterior(tensor(twin.queries))
    mean, variance = condition(twin.ours, pending, draws).posterior(twin.queries)
    np.testing.assert_allclose(mean, theirs.mean.numpy()[..., 0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.tile(variance, (s, 1)), theirs.variance.numpy()[..., 0], rtol=1e-6, atol=1e-9)


def check(ours: Acquisition, theirs: torch.nn.Module, X: Array) -> None:
    """Values and gradients agree to 1e-6 of their size, and of 1 where they are smaller."""
    Xt = tensor(X[:, None]).requires_grad_()
    expected = theirs(Xt)
    (slopes,) = torch.autograd.grad(expected.sum(), Xt)
    value, gradient = ours(X)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-6, atol=1e-6)
    size = np.maximum(np.abs(gradient).max(axis=1, keepdims=True), 1.0)
    np.testing.assert_allclose(gradient / size, slopes.numpy()[:, 0] / size, rtol=0.0, atol=1e-6)

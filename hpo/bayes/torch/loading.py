"""The same model in BoTorch: hyperparameters are carried over, nothing is fitted again."""

from __future__ import annotations

import torch
from botorch.models import SingleTaskGP
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.means import ConstantMean

from hpo.bayes.gp import GP
from hpo.bayes.kernel import Array


def load(gp: GP) -> SingleTaskGP:
    """`gp` as a BoTorch model whose posterior agrees with it. Points in flight are left behind: BoTorch has its own way.

    Learned and known noise are added up per observation, lengthscales repeated over the columns of their group. Input
    warping is not carried over and must be absent.
    """
    assert not gp.layout.n_warped, "input warping has no counterpart here"
    n, theta = gp.n_observed, gp.theta
    lengthscales = torch.tensor(theta.vector[: gp.layout.n_groups][gp.layout.groups]).exp()
    kernel = ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=len(lengthscales)))
    mean = ConstantMean()
    model = SingleTaskGP(
        tensor(gp.X[:n]),
        tensor(gp.y)[:, None],
        tensor(theta.noise + gp.noise[:n])[:, None],
        covar_module=kernel,
        mean_module=mean,
        outcome_transform=None,
    )
    # Only now, since construction has made every parameter double; and as tensors, since a float would pass through single
    # precision.
    kernel.base_kernel.lengthscale = lengthscales
    kernel.outputscale = torch.tensor(theta.outputscale, dtype=torch.double)
    mean.constant = torch.tensor(gp.mean, dtype=torch.double)
    model.requires_grad_(False)
    return model.eval()


def tensor(values: Array) -> torch.Tensor:
    """A copy of `values`, double."""
    return torch.tensor(values, dtype=torch.double)

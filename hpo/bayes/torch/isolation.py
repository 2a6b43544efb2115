"""Torch as a guest: nothing of the caller's torch is changed, and nothing of it changes a result."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

import torch
from botorch.acquisition.multi_objective import logei
from botorch.exceptions.warnings import BotorchWarning
from gpytorch import settings
from linear_operator.utils.errors import NanError, NotPSDError
from linear_operator.utils.warnings import NumericalWarning

_EXACT_UP_TO = 1_000_000  # rows; beyond, solvers become iterative and inexact
_lock = threading.Lock()


@contextlib.contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Run torch on one thread, exactly, and equally in every process; restore the caller's settings on the way out.

    Draws of torch's global generator start from `seed` inside. BoTorch's C++ version of the hypervolume improvement is
    off: compiling it takes seconds at first use, needs a compiler, and rounds differently from the version in Python
    that other machines run. Those switches belong to the process, so one thread at a time may enter.

    Raises FloatingPointError for a matrix that no jitter makes positive definite.
    """
    with _lock, contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # Both tell of jitter added to a covariance, which the ladder here expects.
        warnings.simplefilter("ignore", NumericalWarning)
        warnings.simplefilter("ignore", BotorchWarning)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        torch.default_generator.manual_seed(seed)
        stack.enter_context(settings.max_cholesky_size(_EXACT_UP_TO))
        stack.enter_context(settings.fast_computations(False, False, False))
        stack.enter_context(_one_thread())
        stack.enter_context(_without_compiled_kernel())
        try:
            yield
        except (NotPSDError, NanError) as error:
            raise FloatingPointError(f"a covariance in torch is not positive definite: {error}") from error


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n)


@contextlib.contextmanager
def _without_compiled_kernel() -> Iterator[None]:
    """BoTorch keeps the kernel in `_C` and loads it once, unless `_load_attempted`; older versions have neither."""
    kept = {name: getattr(logei, name) for name in ("_C", "_load_attempted") if hasattr(logei, name)}
    for name in kept:
        setattr(logei, name, None if name == "_C" else True)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(logei, name, value)

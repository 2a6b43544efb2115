"""The caller's torch is as it was, and results do not depend on how it was."""

import pytest
import torch
from botorch.acquisition.multi_objective import logei
from linear_operator.utils.errors import NotPSDError

from hpo.bayes.torch.isolation import isolated


def test_the_callers_generator_and_threads_are_restored() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    with isolated(3):
        assert torch.get_num_threads() == 1
        first = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    torch.rand(1)
    with isolated(3):
        assert torch.equal(torch.rand(4), first)


def test_nothing_is_compiled_and_nothing_compiled_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = object()
    monkeypatch.setattr(logei, "_C", kernel)
    monkeypatch.setattr(logei, "_load_attempted", False)
    with isolated(0):
        logei._try_load_fused_kernel()
        assert logei._C is None
    assert logei._C is kernel
    assert logei._load_attempted is False


def test_what_cannot_be_factorised_is_a_numerical_error_and_settings_are_restored() -> None:
    threads = torch.get_num_threads()
    with pytest.raises(FloatingPointError, match="not positive definite"), isolated(0):
        raise NotPSDError("three jitters")
    assert torch.get_num_threads() == threads
    with isolated(0):  # the lock is free again
        pass

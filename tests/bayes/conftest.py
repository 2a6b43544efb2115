"""Numeric tests run on one BLAS thread, as every ask does."""

from collections.abc import Iterator

import pytest

from hpo.bayes.blas_threads import single_threaded


@pytest.fixture(autouse=True)
def one_blas_thread() -> Iterator[None]:
    with single_threaded():
        yield

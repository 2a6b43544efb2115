"""Numeric tests run on one BLAS thread, as every ask does, and without deadlines: a busy machine is no failure."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from hpo.bayes.blas_threads import single_threaded

settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")


@pytest.fixture(autouse=True)
def one_blas_thread() -> Iterator[None]:
    with single_threaded():
        yield

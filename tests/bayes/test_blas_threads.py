from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
from threadpoolctl import threadpool_info
from hpo.bayes.blas_threads import single_threaded

def threads():
    return sorted({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})

with single_threaded():
    import hpo.bayes.propose
    print(threads(), end=" ")
print(threads())
"""


def printed_with_two_threads(program: str) -> str:
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True).stdout


def test_a_program_that_has_loaded_no_blas_yet_asks_with_one_thread_and_keeps_its_own_setting() -> None:
    assert printed_with_two_threads(PROGRAM) == "[1] [2]\n"


OVERLAPPING = """
from threadpoolctl import threadpool_info
from hpo.bayes.blas_threads import single_threaded

def threads():
    return sorted({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})

first, second = single_threaded(), single_threaded()
first.__enter__()
second.__enter__()
first.__exit__(None, None, None)
print(threads(), end=" ")
second.__exit__(None, None, None)
print(threads(), end=" ")
with single_threaded():
    print(threads(), end=" ")
print(threads())
"""


def test_of_several_asks_at_once_the_last_one_out_restores_the_setting() -> None:
    assert printed_with_two_threads(OVERLAPPING) == "[1] [2] [1] [2]\n"

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
from threadpoolctl import threadpool_info
from hpo.bayes.threads import single_threaded

def threads():
    return sorted({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})

with single_threaded():
    import hpo.bayes.propose
    print(threads(), end=" ")
print(threads())
"""


def test_a_program_that_has_loaded_no_blas_yet_asks_with_one_thread_and_keeps_its_own_setting() -> None:
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "[1] [2]\n"

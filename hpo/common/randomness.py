"""The only source of randomness: generators derived from what is being done, never from what was done before.

A generator is keyed by (study seed, trial number, purpose), so a suggestion depends neither on the worker that asked
nor on how many numbers others drew. No global state is read or moved.
"""

from __future__ import annotations

import hashlib
import secrets

import numpy as np


def generator(seed: int, *key: int | str) -> np.random.Generator:
    """A counter-based generator (Philox) for one purpose.

    `seed` is the study's; `key` names the purpose, for instance `("suggest", 12)`. Equal arguments give equal numbers
    on every machine.
    """
    text = repr((int(seed), *key)).encode()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(text).digest()[:16], "big")))


def trial_seed(seed: int, number: int) -> int:
    """The seed handed to trial `number`: 31 bits, so that every framework accepts it."""
    return int(generator(seed, "trial", number).integers(2**31))


def fresh_seed() -> int:
    """A seed for a study that was given none; it is stored, so the study can be replayed."""
    return secrets.randbelow(2**31)

"""What a worker has installed: its Python, and hpo in which version. Asked in a way that needs no hpo there."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from hpo.errors import listing

MAX_NAMED = 3
"""Far ends in a message."""


def look() -> dict[str, str]:
    """Of this process: its Python, the version of hpo and a digest of its code, or why it cannot be imported.

    It stands alone: workers are sent its source, see `expression`.
    """
    import hashlib
    import importlib
    import sys
    from pathlib import Path

    found = {"python": "{}.{}".format(*sys.version_info), "hpo": "", "code": "", "why": ""}
    try:
        hpo = importlib.import_module("hpo")
        root, digest = Path(str(hpo.__file__)).parent, hashlib.sha256()
        paths = sorted(root.rglob("*.py"))
        for path in paths:
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
        found["hpo"], found["code"] = hpo.__version__, digest.hexdigest() if paths else ""  # none: in an archive
    except Exception as error:
        found["why"] = f"{type(error).__name__}: {error}"
    return found


def expression() -> str:
    """`look()` as an expression for `eval`: a builtin is known on every worker."""
    return f"(lambda names: (exec({inspect.getsource(look)!r}, names), names['look']())[1])({{}})"


def misfits(found: Mapping[str, Mapping[str, str]], where: str, *, is_function: bool) -> dict[str, str]:
    """Why nothing can run on a worker, by its address: a sentence, the same for all of a kind.

    where: what they are, as "the workers of tcp://10.0.0.1:8786". is_function: whether a function is to run there, which
    goes there by value, and so needs the same Python.
    """
    here, why = look(), {}
    for address, there in found.items():
        if not there["hpo"]:
            lack = "have no hpo" if "No module named 'hpo'" in there["why"] else f"cannot import hpo ({there['why']})"
            why[address] = f"{where} {lack}: install the same version ({here['hpo']}) there"
        elif there["hpo"] != here["hpo"]:
            why[address] = (
                f"{where} have hpo {there['hpo']}, and here it is {here['hpo']}: install the same version there"
            )
        elif there["code"] and here["code"] and there["code"] != here["code"]:
            why[address] = (
                f"{where} have hpo {there['hpo']}, but with other code than here: install the same commit there"
            )
        elif is_function and there["python"] != here["python"]:
            why[address] = (
                f"{where} run Python {there['python']}, and here it is {here['python']}: a function can be sent only to "
                "the same one; use one on both sides, or run a command"
            )
    return why


def sentences(why: Mapping[str, str]) -> str:
    """What `misfits` found, each kind once, with where it was seen."""
    kinds: dict[str, list[str]] = {}
    for address, sentence in why.items():
        kinds.setdefault(sentence, []).append(address)
    return ". ".join(f"{sentence}; seen on {listing(addresses, MAX_NAMED)}" for sentence, addresses in kinds.items())

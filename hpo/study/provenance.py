"""Provenance: who made a study, or ran its trials, when, why, with what code and where.

Never environment variables, paths of files, host names or data. What looks like a secret is left out: see `redact`.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from hpo.boundary.public import public
from hpo.common.redact import stored_text, without_secrets
from hpo.common.text import shown

DISTRIBUTION = "joint-hpo"
"""What this library is installed as."""
_PACKAGES = ("hpo", "numpy", "scipy", "scikit-learn", "torch")
IMAGE = "HPO_IMAGE"
"""The one environment variable that is read: the digest of the container's image, which a container cannot know itself."""
_BLOCK = 1 << 20
_PATIENCE = 10
"""Seconds that git has to answer."""


def provenance(author: str = "", reason: str = "", data: str = "") -> dict[str, Any]:
    """Author, reason, time, code, command line, machine, library versions and data fingerprint, as JSON values.

    The author defaults to the login name. `code` is the commit of the working directory, whether it had uncommitted
    changes and the hash of those; null outside a git checkout; `unknown` with the reason where git could not tell.
    """
    return {
        "author": stored_text(author or _login()),
        "reason": stored_text(reason),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": _commit(),
        "argv": [shown(argument, lines=True) for argument in without_secrets(sys.argv)],
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "machine": machine(),
        "image": stored_text(os.environ.get(IMAGE, "")) or None,
        "versions": {name: version for name in _PACKAGES if (version := installed(name))},
        "data": stored_text(data),
    }


@public
def fingerprint(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> str:
    """A text that is the same for the same data: a hash of files, and of all files below folders.

    Names of files count, relative to the given path. The path itself does not.

    Args:
        paths: One file or folder, or several.

    Returns:
        The hash, as text.

    Raises:
        OSError: Something cannot be read.

    Example:
        >>> import hpo, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> written = [(folder / name).write_text("x,y") for name in ("a.csv", "b.csv")]
        >>> hpo.fingerprint(folder / "a.csv")[:7]
        'sha256:'
    """
    digest = hashlib.sha256()
    for given in [paths] if isinstance(paths, str | os.PathLike) else paths:
        root = Path(given)
        files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
        for path in files:
            name = path.relative_to(root).as_posix() if root.is_dir() else path.name
            digest.update(f"{len(name)}:{name}:{path.stat().st_size}:".encode())
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def machine() -> dict[str, Any]:
    """What class of machine this is: processor, cores that may be used, memory in GiB; not which one."""
    import psutil

    model = platform.processor() or platform.machine()
    with suppress(OSError):
        names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": cores, "memory_gib": round(psutil.virtual_memory().total / 2**30)}


def installed(package: str) -> str | None:
    """The version of a package, or of this library, `hpo`; None where it is not installed."""
    try:
        return metadata.version(DISTRIBUTION if package == "hpo" else package)
    except metadata.PackageNotFoundError:
        return None


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """What differs between two provenances in a way that may change results: code, data, image, versions."""
    out = [
        f"{name}: {_shown(first.get(name))}, then {_shown(second.get(name))}"
        for name in ("code", "data", "image", "python")
        if first.get(name) != second.get(name)
    ]
    before, after = first.get("versions", {}), second.get("versions", {})
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return [*out, *(f"{name}: {before.get(name, '-')}, then {after.get(name, '-')}" for name in changed)]


def code_words(code: Mapping[str, Any] | None) -> str:
    """`1a2b3c4d5e6f with uncommitted changes 0f1e2d3c`, or that there was no git checkout, or why git could not tell."""
    if not code:
        return "not in a git checkout"
    if "unknown" in code:
        return f"unknown: {code['unknown']}"
    changes = f" with uncommitted changes {code.get('diff', '')[:12]}".rstrip() if code.get("dirty") else ""
    return f"{str(code.get('commit'))[:12]}{changes}"


def _shown(value: object) -> str:
    return code_words(value) if isinstance(value, Mapping) else str(value or "none")


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the user database, as in some containers
        return "unknown"


def _commit() -> dict[str, Any] | None:
    try:
        commit = _git("rev-parse", "HEAD").decode().strip()
        diff = _git("diff", "HEAD", "--no-ext-diff", "--no-color", "--binary")
    except subprocess.TimeoutExpired:
        return {"unknown": f"git took longer than {_PATIENCE} s"}
    except subprocess.CalledProcessError as error:  # its words hold paths
        is_outside = b"not a git repository" in error.stderr
        return None if is_outside else {"unknown": f"git failed with exit code {error.returncode}"}
    except OSError:
        return {"unknown": "there is no git to ask"}
    return {"commit": commit, "dirty": bool(diff), **({"diff": hashlib.sha256(diff).hexdigest()} if diff else {})}


def _git(*arguments: str) -> bytes:
    english = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(["git", *arguments], capture_output=True, check=True, timeout=_PATIENCE, env=english).stdout

"""Provenance: who made a study, when, why and with what code. Never environment variables, paths or data."""

from __future__ import annotations

import getpass
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

_PACKAGES = ("hpo", "numpy", "scipy", "scikit-learn", "torch")


def provenance(author: str = "", reason: str = "") -> dict[str, Any]:
    """Author, reason, time, code version and library versions as JSON values.

    The author defaults to the login name; the code version is the commit of the working directory, with whether it had
    uncommitted changes, and null outside a git checkout.
    """
    return {
        "author": author or _login(),
        "reason": reason,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": _commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the user database, as in some containers
        return "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, Any] | None:
    try:
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()

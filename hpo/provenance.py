"""Provenance: who made a study, or ran its trials, when, why, with what code and where.

Never environment variables, paths of files, host names or data. Of the command line, what looks like a secret is left out.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from hpo.boundary import public

_PACKAGES = ("hpo", "numpy", "scipy", "scikit-learn", "torch")
IMAGE = "HPO_IMAGE"
"""The one environment variable that is read: the digest of the container's image, which a container cannot know itself."""
HIDDEN = "***"
_SECRET = re.compile(
    r"passw|passphrase|secret|credential"
    r"|(?<![a-z])((access|api|auth|license|private|ssh)?key|[a-z]*token|o?auth|authorization|bearer|pass|pwd)(?![a-z])"
    r"|(?<![a-z])(access|api|auth|private)_?(keys|tokens)(?![a-z])"
)
"""What the name of a secret holds, in lower case and with `_` between its words: `hf_token`, `apikey`, `access_tokens`.
Keys and tokens count as whole words: `max_tokens`, `tokenizer`, `keypoints` and `author` are no secrets."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_PLACEHOLDER = re.compile(r"\{[^{}]+\}")
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):(?!\{[^{}]+\}@)[^/\s@]*@")
_BLOCK = 1 << 20


def provenance(author: str = "", reason: str = "", data: str = "") -> dict[str, Any]:
    """Author, reason, time, code, command line, machine, library versions and data fingerprint, as JSON values.

    The author defaults to the login name. `code` is the commit of the working directory, whether it had uncommitted
    changes and the hash of those; null outside a git checkout.
    """
    return {
        "author": author or _login(),
        "reason": reason,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": _commit(),
        "argv": without_secrets(sys.argv),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "machine": machine(),
        "image": os.environ.get(IMAGE) or None,
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "data": data,
    }


@public
def fingerprint(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> str:
    """`sha256:...` of the content of files, and of all files below folders, with their names relative to these: equal
    data, wherever they lie, have equal fingerprints. Raises OSError for what cannot be read."""
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


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """A command line, its program without its folder, with *** for passwords in URLs and for the values of options and
    variables that are called token, key, password, secret or the like. A placeholder, `{name}`, holds none."""
    out: list[str] = []
    hide_next = False
    for i, given in enumerate(arguments):
        argument = os.path.basename(given) if i == 0 else given
        name, equals, value = argument.partition("=")
        if hide_next and not argument.startswith("-"):
            argument, hide_next = _hidden(argument), False
        elif _SECRET.search(_HUMP.sub("_", name).lower()):
            hide_next = argument.startswith("-") and not equals
            argument = f"{name}={_hidden(value)}" if equals else argument
        else:
            hide_next = False
        out.append(_URL_PASSWORD.sub(rf"\1:{HIDDEN}@", argument))
    return out


def masked(command: Sequence[str | Sequence[str]]) -> list[str | list[str]]:
    """A template of a command, with lists for groups, without its secrets; the program keeps its folder, and every
    argument that is only a placeholder stays."""
    flat = without_secrets(["", *(part if isinstance(part, str) else "-" for part in command)])[1:]
    return [
        text if isinstance(part, str) else without_secrets(["", *part])[1:]
        for part, text in zip(command, flat, strict=True)
    ]


def machine() -> dict[str, Any]:
    """What class of machine this is: processor, cores that may be used, memory in GiB; not which one."""
    import psutil

    model = platform.processor() or platform.machine()
    with suppress(OSError):
        names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": cores, "memory_gib": round(psutil.virtual_memory().total / 2**30)}


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
    """`1a2b3c4d5e6f with uncommitted changes 0f1e2d3c`, or that there was no git checkout."""
    if not code:
        return "not in a git checkout"
    changes = f" with uncommitted changes {code.get('diff', '')[:12]}".rstrip() if code["dirty"] else ""
    return f"{code['commit'][:12]}{changes}"


def _hidden(value: str) -> str:
    return value if _PLACEHOLDER.fullmatch(value) else HIDDEN


def _shown(value: object) -> str:
    return code_words(value) if isinstance(value, Mapping) else str(value or "none")


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
        commit = _git("rev-parse", "HEAD").decode().strip()
        diff = _git("diff", "HEAD", "--no-ext-diff", "--no-color", "--binary")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(diff), **({"diff": hashlib.sha256(diff).hexdigest()} if diff else {})}


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], capture_output=True, check=True, timeout=10).stdout

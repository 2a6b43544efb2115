"""The environments that the peers run in: one per pin file, below `.venvs/`, apart from the one of this library.

The peers cannot share one environment (HEBO needs numpy 1.24), and none of them is a dependency of this library. A pin
file of `benchmarks/pins` holds the whole closure of its environment, so pip resolves nothing: `--no-deps`. Torch is
installed first and by itself, because which build of it is right depends on the machine.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "benchmarks" / "pins"
VENVS = ROOT / ".venvs"

FIRST = ("setuptools==65.5.0", "wheel==0.48.0")
"""What the source distributions among the pins are built with; a later setuptools has dropped what they use."""
TORCH = {"modern": "torch==2.13.0", "hebo": "torch==2.13.0"}
"""The environments that need torch, and which."""
MARKER = "complete"
"""A file in the environment, written last, with the text of the pins it was built from."""


def names() -> tuple[str, ...]:
    """The environments there are, sorted."""
    return tuple(sorted(file.stem for file in PINS.glob("*.txt")))


def path(name: str) -> Path:
    """The folder of an environment, whether built or not. Raises ValueError for a name that is none."""
    if name not in names():
        raise ValueError(f"no environment {name!r} (have: {', '.join(names())})")
    return VENVS / name


def python(name: str | None) -> Path:
    """The interpreter of an environment; the one that runs this for None."""
    return Path(sys.executable) if name is None else path(name) / "bin" / "python"


def is_built(name: str) -> bool:
    """Whether the environment is complete and made from the pins as they stand."""
    marker = path(name) / MARKER
    return marker.exists() and marker.read_text() == pins(name)


def pins(name: str) -> str:
    """All that goes into an environment, in the order of its installation."""
    return "\n".join((*FIRST, *torch_of(name), (PINS / f"{name}.txt").read_text()))


def torch_of(name: str) -> tuple[str, ...]:
    """The requirement of torch, if the environment has one."""
    return (TORCH[name],) if name in TORCH else ()


def build(wanted: Sequence[str] = ()) -> None:
    """Make these environments, or all; those that are complete are left as they are, a half-built one is finished.

    Prints progress. Needs the network. Raises ValueError for an unknown name, subprocess.CalledProcessError when pip
    fails, after having tried the other environments.
    """
    failed: list[subprocess.CalledProcessError] = []
    for name in [name for name in wanted or names() if not is_built(name)]:
        print(f"{name}: building {path(name)}", flush=True)
        try:
            _build(name)
            print(f"{name}: complete", flush=True)
        except subprocess.CalledProcessError as error:
            print(f"{name}: FAILED, run the command again to go on", flush=True)
            failed.append(error)
    if failed:
        raise failed[0]


def commands(name: str) -> list[list[str]]:
    """The arguments of pip, call by call."""
    torch = torch_of(name)
    return [
        ["install", *FIRST],
        *([["install", *torch]] if torch else []),
        ["install", "--no-deps", "--no-build-isolation", "-r", str(PINS / f"{name}.txt")],
    ]


def _build(name: str) -> None:
    if not python(name).exists():
        venv.create(path(name), with_pip=True)
    for arguments in commands(name):
        subprocess.run([python(name), "-m", "pip", "--quiet", *arguments], check=True, cwd=ROOT)
    (path(name) / MARKER).write_text(pins(name))

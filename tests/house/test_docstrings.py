"""The docstrings of public names: they describe every argument, and their examples are run."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.study.leases import Leases
from tests.house.public_names import described_arguments, public_names

NAMES = dict(public_names())
CLASSES_AND_FUNCTIONS = {name: v for name, v in NAMES.items() if inspect.isclass(v) or inspect.isfunction(v)}
OWNERS: tuple[type, ...] = (hpo.Study, Leases)
MEMBERS = {
    f"{owner.__name__}.{name}": value
    for owner in OWNERS
    for name, value in vars(owner).items()
    if not name.startswith("_") and inspect.isfunction(value)
}


@pytest.mark.parametrize("name", CLASSES_AND_FUNCTIONS)
def test_the_examples_are_right(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = inspect.getdoc(NAMES[name]) or ""
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert example.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)


@pytest.mark.parametrize("name", [*CLASSES_AND_FUNCTIONS, *MEMBERS])
def test_every_argument_is_described(name: str) -> None:
    value = {**CLASSES_AND_FUNCTIONS, **MEMBERS}[name]
    assert described_arguments(value) >= set(arguments(name, value))
    assert (inspect.getdoc(value) or "").strip()


def arguments(name: str, value: Any) -> Iterator[str]:
    """The arguments that users give."""
    if inspect.isclass(value) and (issubclass(value, BaseException) or getattr(value, "_is_protocol", False)):
        value = value.__init__ if "__init__" in vars(value) and issubclass(value, BaseException) else object
    try:
        signature = inspect.signature(value)
    except ValueError:
        return
    if name in MADE_BY_THE_LIBRARY:
        return
    for parameter in signature.parameters.values():
        if parameter.name != "self" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield parameter.name


MADE_BY_THE_LIBRARY = {"hpo.Study", "hpo.TrialState", "hpo.executors.CloseMode"}
"""Their constructors are called by the library only."""

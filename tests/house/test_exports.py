"""The face: what it names exists, is found by tools, and is the same for type checkers."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

import hpo
from tests.house.source import HPO, ROOT, modules

FACES = ["hpo", "hpo.executors"]


@pytest.mark.parametrize("name", hpo.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(hpo, name) is not None


@pytest.mark.parametrize("face", [*FACES, "hpo.storage", "hpo.strategies", "hpo.testing"])
def test_dir_and_all_agree(face: str) -> None:
    module = importlib.import_module(face)
    names = list(module.__all__)
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(module, name) is not None
    if face in FACES:
        assert dir(module) == sorted(names)


@pytest.mark.parametrize("face", FACES)
def test_the_lazy_table_is_what_type_checkers_see(face: str) -> None:
    module = importlib.import_module(face)
    assert module.__file__ is not None
    tree = ast.parse((HPO.parent / module.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.asname or alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    rooms = getattr(module, "_ROOMS", ())
    assert {name: f"{face}.{home}" for name, home in module._HOME.items()} == {
        name: home for name, home in typed.items() if name not in rooms
    }
    assert {name for name, home in typed.items() if home == face} == set(rooms)


DOCUMENTED = sorted(
    {
        name
        for page in (ROOT / "docs").rglob("*.md")
        if "_build" not in page.parts and "decisions" not in page.parts
        for name in re.findall(
            r"(?:`|^\.\. (?:auto\w+|data):: )(hpo(?:\.[a-zA-Z_]\w*)+)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
        if name != "hpo.db"
    }
)


def test_every_documented_name_is_reached_from_a_fresh_import() -> None:
    assert {"hpo.report.write_report", "hpo.storage.open_storage", "hpo.testing"} <= set(DOCUMENTED)
    assert len(DOCUMENTED) > 90
    program = "import sys, hpo\nfor name in sys.argv[1:]: eval(name)"
    for names in (DOCUMENTED, DOCUMENTED[::-1]):  # none is there only because another was asked for before
        done = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("face", [*FACES, "hpo.storage", "hpo.strategies", "hpo.testing", "hpo.study.study"])
def test_an_unknown_name_is_an_attribute_error(face: str) -> None:
    module = importlib.import_module(face)
    with pytest.raises(AttributeError, match=f"module '{face}' has no attribute 'Nonsense'"):
        _ = module.Nonsense


@pytest.mark.parametrize(
    "value",
    [
        value
        for face in (hpo, hpo.executors, hpo.strategies)
        for name in face.__all__
        if inspect.isfunction(value := getattr(face, name))
        or (inspect.isclass(value) and dataclasses.is_dataclass(value) and inspect.signature(value).parameters)
    ],
    ids=lambda value: value.__qualname__,
)
def test_what_users_call_is_marked_as_public(value: Any) -> None:
    made_by_the_library = (hpo.Trial, hpo.executors.Outcome, hpo.executors.Task, hpo.strategies.Suggestion)
    function = value if inspect.isfunction(value) else value.__init__
    assert hasattr(function, "__wrapped__") != (value in made_by_the_library)


@pytest.mark.parametrize("name", [n for n in hpo.__all__ if inspect.isclass(getattr(hpo, n))])
def test_public_classes_say_what_they_are(name: str) -> None:
    cls = getattr(hpo, name)
    assert inspect.getdoc(cls), f"hpo.{name} has no docstring"
    public = [m for m, value in vars(cls).items() if not m.startswith("_") and callable(value)]
    silent = [m for m in public if not inspect.getdoc(getattr(cls, m))]
    assert not silent, f"hpo.{name} has methods without a docstring: {silent}"


BY_NAME_ONLY = {"executors/cluster/dask_remote:run_on_dask_worker", "executors/local/futures:call_pickled"}
"""What other processes look up by its name."""


def test_no_function_is_public_by_accident() -> None:
    """A function that no other file names begins with an underscore."""
    readers = [path for top in ("hpo", "tests", "benchmarks", "docs") for path in (ROOT / top).rglob("*.[pm][yd]")]
    words = {path: set(re.findall(r"\w+", path.read_text(encoding="utf-8"))) for path in readers}
    accidental = {
        f"{path.relative_to(HPO).with_suffix('')}:{node.name}"
        for path in modules()
        if "migrations" not in path.parts
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not node.decorator_list
        if not any(node.name in found for reader, found in words.items() if reader != path)
    }
    assert accidental - BY_NAME_ONLY == set()

"""One tree of errors: drawn, rooted, and each also the builtin a caller would guess."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from pathlib import Path

import pytest

from hpo import errors
from hpo.errors import HpoError
from tests.house.source import modules, name_of

DECLARED = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == "hpo.errors"
}
BUILTIN = {value for value in vars(builtins).values() if inspect.isclass(value) and issubclass(value, Exception)}


def drawn(text: str) -> dict[str, tuple[str, str]]:
    """`{name: (parent, builtin in brackets or "")}` of the tree in a docstring."""
    out: dict[str, tuple[str, str]] = {}
    parents: list[str] = []
    for line in text.splitlines():
        match = re.match(r"^    ((?:[│ ]   )*)(?:[├└]── )?([A-Z]\w+(?:, [A-Z]\w+)*)(?: \((\w+)\))?", line)
        if not match or not ("──" in line or line.strip() == "HpoError"):
            continue
        depth = len(match[1]) // 4 + ("──" in line)
        for name in match[2].split(", "):
            out[name] = (parents[depth - 1] if depth else "", match[3] or "")
            del parents[depth:]
            parents.append(name)
    return out


TREE = drawn(errors.__doc__ or "")


def test_the_tree_names_every_error_once() -> None:
    assert set(TREE) == set(DECLARED), "the tree at the top of hpo/errors.py differs from the classes below it"


@pytest.mark.parametrize("name", [n for n in DECLARED if n != "HpoError"])
def test_the_drawn_tree_is_the_real_one(name: str) -> None:
    parent, builtin = TREE[name]
    cls = DECLARED[name]
    assert cls.__bases__[0] is DECLARED[parent]
    if builtin:
        assert vars(builtins)[builtin] in cls.__bases__


@pytest.mark.parametrize("name", [n for n in DECLARED if n != "HpoError"])
def test_each_is_ours_and_a_builtin_too(name: str) -> None:
    cls = DECLARED[name]
    assert issubclass(cls, HpoError)
    assert set(cls.__mro__) & BUILTIN - {Exception}, f"{name} is no builtin a caller would guess"
    assert inspect.getdoc(cls)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_module_defines_an_error_outside_the_tree(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]:
        bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
        is_error = bases & {b.__name__ for b in (*BUILTIN, Exception, BaseException)} or bases & set(DECLARED)
        assert not is_error or name_of(path) == "hpo.errors", f"{name_of(path)}.{node.name} belongs in hpo/errors.py"

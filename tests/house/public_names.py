"""The public names, and what their docstrings say."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import hpo
from hpo import errors

FACES = ("hpo", "hpo.executors", "hpo.report", "hpo.storage", "hpo.strategies")
CONTRACTS = {
    "hpo.testing.clusters": ("EngineContract",),
    "hpo.testing.executors": ("ExecutorContract", "ConcurrencyContract", "IsolationContract"),
    "hpo.testing.storage": ("StorageContract",),
    "hpo.testing.strategies": ("StrategyContract",),
}


def public_names() -> Iterator[tuple[str, Any]]:
    """Every public class, function and alias by the name that users write; modules are left out."""
    for face in FACES:
        module = importlib.import_module(face)
        for name in module.__all__:
            value = getattr(module, name)
            if not inspect.ismodule(value) and not name.startswith("__"):
                yield f"{face}.{name}", value
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, errors.HpoError) and name not in hpo.__all__:
            yield f"hpo.errors.{name}", value
    for face, names in CONTRACTS.items():
        for name in names:
            yield f"{face}.{name}", getattr(importlib.import_module(face), name)


def described_arguments(value: Any) -> set[str]:
    """The arguments that a docstring describes; for a dataclass also the fields with a docstring of their own."""
    section = re.search(r"^Args:\n(.*?)(?:\n\S|\Z)", inspect.getdoc(value) or "", re.MULTILINE | re.DOTALL)
    found = set(re.findall(r"^    (\w+): \S", section[1] if section else "", re.MULTILINE))
    return found | set(field_docs(value) if inspect.isclass(value) else ())


def field_docs(cls: type) -> dict[str, str]:
    """The docstring below each field of a dataclass, by the field's name; those of its bases too."""
    out: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            assert isinstance(node, ast.ClassDef)
            for field, below in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(below, ast.Expr)
                    and isinstance(below.value, ast.Constant)
                ):
                    out[field.target.id] = inspect.cleandoc(str(below.value.value))
    return out

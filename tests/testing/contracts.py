"""Where the published contracts are used: by which of our tests, and on which pages."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def contracts(module: ModuleType) -> set[str]:
    """The test classes that a module publishes, without those that only others build on."""
    classes = {
        name for name, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__
    }
    return {name for name in classes if name.endswith("Contract") and name != "Contract"}


def names_of_tests(module: ModuleType) -> set[str]:
    """Names of the tests that its contracts hold."""
    found = [getattr(module, name) for name in contracts(module)]
    return {name for one in found for name in vars(one) if name.startswith("test_")}


def subclassed_in(room: str) -> dict[str, set[str]]:
    """By the name of a base, the test files of a room in which a class has it."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests" / room).rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    found.setdefault(ast.unparse(base), set()).add(path.stem)
    return found

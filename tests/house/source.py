"""What the source says about itself: modules and their imports, read without running anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HPO = ROOT / "hpo"
BENCHMARKS = ROOT / "benchmarks"


def modules(of: Path = HPO) -> list[Path]:
    """Every module of a package."""
    return sorted(of.rglob("*.py"))


def name_of(path: Path) -> str:
    """`hpo.bayes.gp.gp`; a package's face has the package's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module `path` imports, anywhere in the file: at its top, inside functions, for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name the defining module in full"
            assert node.module is not None
            submodules = [alias.name for alias in node.names if _is_module(f"{node.module}.{alias.name}")]
            yield from (f"{node.module}.{name}" for name in submodules)
            if len(submodules) < len(node.names):
                yield node.module


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()

"""Mutation testing: change one thing of the code at a time, and see whether the tests notice. `make mutants`.

    python -m tests.mutants                     a sample of each room, judged by the 85 % that CONTRIBUTING asks for
    python -m tests.mutants --room bayes --sample 200 --seed 3

A mutant is judged by the test file that is named after its module, then by those of its room that import the module. It is
killed by a failure, an error or a hang. Results are appended to `.mutants/<commit>.jsonl`, and what is there already is not
run again.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[1]
ROOMS = ("problem", "trials", "study", "running", "bayes")
WANTED = 0.85
LIMIT = 300.0
"""Seconds for one test file; what takes longer hangs."""

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    """One change: the expression at `line` and `column` of `path`, as it was and as it is."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    before: str
    after: str

    def applied(self, source: str) -> str:
        """The source with the change. Columns count bytes, as the parser does."""
        lines = source.encode().splitlines(keepends=True)
        first, last = lines[self.line - 1][: self.column], lines[self.end_line - 1][self.end_column :]
        lines[self.line - 1 : self.end_line] = [first + self.after.encode() + last]
        return b"".join(lines).decode()


def mutants(path: Path) -> Iterator[Mutant]:
    """All of a module. Annotations, messages of errors, and what only type checkers read are left alone."""
    source = path.read_text(encoding="utf-8")
    for node in _expressions(ast.parse(source)):
        for changed in _changes(node):
            before, after = ast.get_source_segment(source, node), f"({ast.unparse(changed)})"
            if before is not None and "\n" not in after:
                assert node.end_lineno is not None
                assert node.end_col_offset is not None
                where = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
                yield Mutant(str(path.relative_to(ROOT)), *where, before, after)


def _expressions(tree: ast.AST) -> Iterator[ast.expr]:
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list") or isinstance(
            tree, ast.Raise | ast.JoinedStr | ast.Assert
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.AST):
                if isinstance(child, ast.expr):
                    yield child
                yield from _expressions(child)


def _changes(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARED:
            yield ast.Compare(node.left, [_COMPARED[type(op)]()], node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
            yield from (ast.BoolOp(node.op, [v for v in node.values if v is not left]) for left in node.values[:2])
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BinOp(op=op) if type(op) in _COMPUTED:
            yield ast.BinOp(node.left, _COMPUTED[type(op)](), node.right)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float() as value):
            yield ast.Constant(2.0 * value if value else 1.0)
        case ast.IfExp():
            yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def judges(path: str) -> list[Path]:
    """The test files that judge a module, the one of its name first, then the shortest that import it."""
    inner = Path(path).relative_to("hpo").with_suffix("")
    own = ROOT / "tests" / inner.parent / f"test_{inner.name}.py"
    name = ".".join(("hpo", *inner.parts))
    room = sorted((ROOT / "tests" / inner.parts[0]).rglob("test_*.py"), key=lambda file: file.stat().st_size)
    split = (f"from {name} import", f"from {name.rpartition('.')[0]} import {inner.name}\n")
    others = [file for file in room if file != own and any(s in file.read_text(encoding="utf-8") for s in split)]
    face = [file for file in room if file != own and file not in others]
    return [*([own] if own.exists() else []), *(others or face)]


def judged(mutant: Mutant, copy: Path) -> str:
    """`killed by FILE`, or `survived`. copy: a copy of the checkout, which is changed meanwhile."""
    file = copy / mutant.path
    source = file.read_text(encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    file.write_text(mutant.applied(source), encoding="utf-8")
    try:
        for judge in judges(mutant.path):
            test = str(judge.relative_to(ROOT))
            command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout=60", test]
            try:
                done = subprocess.run(
                    command, cwd=copy, env=environment, capture_output=True, timeout=LIMIT, check=False
                )
            except subprocess.TimeoutExpired:
                return f"killed by {test}, which hangs"
            if done.returncode not in (0, 5):
                return f"killed by {test}"
        return "survived"
    finally:
        file.write_text(source, encoding="utf-8")


def main() -> int:
    """Run a sample of each room; 1 where fewer are killed than wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--room", action="append", choices=ROOMS, help="only these (default: all)")
    parser.add_argument("--sample", type=int, default=60, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    results = ROOT / ".mutants" / f"{commit.stdout.strip()}.jsonl"
    results.parent.mkdir(exist_ok=True)
    known = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    verdicts: dict[Mutant, str] = {Mutant(**line["mutant"]): line["verdict"] for line in known}
    chosen = {room: _sample(room, given.sample, given.seed) for room in given.room or ROOMS}
    todo = [mutant for sample in chosen.values() for mutant in sample if mutant not in verdicts]
    with tempfile.TemporaryDirectory(prefix="hpo-mutants-") as folder, ThreadPoolExecutor(given.jobs) as threads:
        copies: SimpleQueue[Path] = SimpleQueue()
        for job in range(given.jobs):
            copies.put(_copy(Path(folder) / str(job)))

        def run(mutant: Mutant) -> tuple[Mutant, str]:
            copy = copies.get()
            try:
                return mutant, judged(mutant, copy)
            finally:
                copies.put(copy)

        for n, (mutant, verdict) in enumerate(threads.map(run, todo), 1):
            verdicts[mutant] = verdict
            with results.open("a") as out:
                out.write(json.dumps({"mutant": asdict(mutant), "verdict": verdict}) + "\n")
            _say(f"{n}/{len(todo)} {mutant.path}:{mutant.line}: {mutant.before} -> {mutant.after}: {verdict}")
    return _summary(chosen, verdicts)


def _sample(room: str, n: int, seed: int) -> list[Mutant]:
    everything = [mutant for path in sorted((ROOT / "hpo" / room).rglob("*.py")) for mutant in mutants(path)]
    return random.Random(f"{seed}-{room}").sample(everything, min(n, len(everything)))


def _copy(where: Path) -> Path:
    for part in ("hpo", "tests", "benchmarks", "docs", "pyproject.toml", "conftest.py", "README.md", "Makefile"):
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, where / part, ignore=shutil.ignore_patterns("__pycache__", "_build", "results"))
        else:
            where.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, where / part)
    return where


def _summary(chosen: dict[str, list[Mutant]], verdicts: dict[Mutant, str]) -> int:
    shares = {}
    for room, sample in chosen.items():
        survivors = [mutant for mutant in sample if verdicts[mutant] == "survived"]
        shares[room] = 1.0 - len(survivors) / len(sample)
        _say(f"{room}: {len(sample) - len(survivors)} of {len(sample)} killed ({shares[room]:.0%})")
        for mutant in survivors:
            _say(f"  {mutant.path}:{mutant.line}: {mutant.before} -> {mutant.after}")
    return int(min(shares.values()) < WANTED)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

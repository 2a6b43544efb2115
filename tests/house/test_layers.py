"""Arrows point down only, and every heavy library stays in its room. See docs/explanation/architecture.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.source import BENCHMARKS, HPO, ROOT, imports, modules, name_of

TESTS = ROOT / "tests"

LAYERS = (
    {"errors"},
    {"boundary", "common"},
    {"executors", "problem"},
    {"trials"},
    {"bayes", "storage"},
    {"strategies"},
    {"study"},
    {"report", "running"},
    {"cli"},
    {"__main__"},
)
"""From the ground up. A room imports from layers below its own, and from itself."""

HOMES = {
    "torch": (),
    "gpytorch": (),
    "botorch": (),
    "linear_operator": (),
    "sqlalchemy": ("storage",),
    "alembic": ("storage",),
    "psycopg": ("storage",),
    "matplotlib": ("report",),
    "jinja2": ("report",),
    "click": ("cli",),
    "rich": ("cli",),
    "IPython": ("running/screens.py",),
    "sklearn": ("cli/demo.py", "cli/demo_task.py"),
    "pandas": ("study/study.py",),
    "cloudpickle": ("executors",),
    "distributed": ("executors/cluster",),
    "ray": ("executors/cluster/ray_pool.py",),
    "pytest": ("testing",),
    "hypothesis": ("testing",),
}
"""Where a library may be imported, lazily or not; `()` is nowhere."""


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def depth(name: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


INNER = [path for path in modules() if room(name_of(path)) not in ("", "testing")]
"""All but the face, which may name anything, and the published contracts, which nobody imports."""


@pytest.mark.parametrize("path", INNER, ids=name_of)
def test_arrows_point_down(path: Path) -> None:
    here = room(name_of(path))
    assert any(here in layer for layer in LAYERS), f"hpo.{here} is in no layer; give it a place in LAYERS"
    for target in imports(path):
        if target.split(".")[0] != "hpo" or room(target) == here:
            continue
        assert target != "hpo", f"{name_of(path)} imports the face; import the defining module"
        assert room(target) != "testing", f"{name_of(path)} imports {target}; contracts are for tests"
        assert depth(room(target)) < depth(here), f"{name_of(path)} imports {target}, which is not below it"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    where = path.relative_to(HPO)
    for target in imports(path):
        homes = HOMES.get(target.split(".")[0])
        if homes is not None:
            assert any(where.is_relative_to(home) for home in homes), f"{where} imports {target}; only {homes} may"


def test_executors_know_nothing_of_trials() -> None:
    inside = {t for path in (HPO / "executors").rglob("*.py") for t in imports(path) if t.startswith("hpo.")}
    assert {room(t) for t in inside} == {"boundary", "errors", "executors"}


@pytest.mark.parametrize("package", [HPO, BENCHMARKS], ids=lambda package: package.name)
def test_modules_import_without_a_circle(package: Path) -> None:
    edges = {name_of(p): {t for t in imports(p) if t.startswith(f"{package.name}.")} for p in modules(package)}
    assert circles(edges) == []


def circles(edges: dict[str, set[str]]) -> list[str]:
    """One of each knot of modules that import one another, as `a -> b -> a`."""
    done: set[str] = set()
    found: list[str] = []

    def walk(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            found.append(" -> ".join((*path[path.index(name) :], name)))
        elif name not in done:
            for target in sorted(edges.get(name, ())):
                walk(target, (*path, name))
            done.add(name)

    for name in edges:
        walk(name, ())
    return found


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b -> c -> b"]


def test_the_lists_know_only_rooms_and_files_that_exist() -> None:
    rooms = {path.stem for path in HPO.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    listed = [name for layer in LAYERS for name in layer]
    assert sorted(listed) == sorted(rooms - {"__init__", "testing"})
    homes = {home for homes in HOMES.values() for home in homes}
    assert [home for home in homes if not (HPO / home).exists()] == []


WITHOUT = {"common/arrays", "cli/codes", "executors/cluster/ray_pool"}
"""Two aliases; two exit codes, which the tests of commands hold; and what only Ray itself can show: test_ray."""


def test_every_module_has_a_test_of_its_name() -> None:
    inner = [path.relative_to(HPO) for path in modules() if "migrations" not in path.parts]
    named = [path for path in inner if path.parent.name and path.name != "__init__.py"]
    missing = {str(path.with_suffix("")) for path in named if not (TESTS / path.parent / f"test_{path.name}").exists()}
    assert missing == WITHOUT, f"without a test file of its name: {missing - WITHOUT}"

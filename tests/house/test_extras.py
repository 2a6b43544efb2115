"""What everybody must install, what is optional, and the sentence where an optional package is missing."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpo
from hpo.cli import demo
from hpo.errors import MissingExtra
from hpo.report import write_report
from hpo.storage import open_storage
from hpo.study.provenance import DISTRIBUTION
from tests.house.source import HPO, imports, modules
from tests.storage.test_migrations import look, restored

PROJECT = tomllib.loads((HPO.parent / "pyproject.toml").read_text())["project"]
NEEDED = {"click", "cloudpickle", "numpy", "psutil", "rich", "scipy", "sqlalchemy", "threadpoolctl"}
IMPORTED_AS = {"sklearn": "scikit-learn"}
EXEMPT = {"testing": {"pytest", "hypothesis"}}
"""What the published contracts need is for those who run them to install."""


def names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name, without extras of our own."""
    found = {re.split(r"[\[<>=\s]", text, maxsplit=1)[0].lower() for text in requirements}
    return found - {DISTRIBUTION}


def bounds(requirements: list[str]) -> Iterator[tuple[str, str]]:
    for text in requirements:
        if found := re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", text):
            yield found[1].lower(), found[2]


def test_everybody_installs_little() -> None:
    assert names(PROJECT["dependencies"]) == NEEDED


def test_what_is_imported_is_needed_or_in_an_extra() -> None:
    extras = {name for group in PROJECT["optional-dependencies"].values() for name in names(group)}
    for path in modules():
        room = path.relative_to(HPO).parts[0]
        packages = {target.split(".")[0] for target in imports(path)} - {"hpo", *sys.stdlib_module_names}
        wanted = {IMPORTED_AS.get(name, name) for name in packages} - EXEMPT.get(room, set())
        assert wanted <= NEEDED | extras, path


def test_the_oldest_versions_that_are_tested_are_those_that_are_allowed() -> None:
    lines = (HPO.parent / "constraints-oldest.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    optional = PROJECT["optional-dependencies"]
    for group in (
        PROJECT["dependencies"],
        *(optional[name] for name in ("plot", "demo", "frame", "upgrade", "postgres")),
    ):
        for name, least in bounds(group):
            have = tested[name].split(".")
            assert have[: len(least.split("."))] == least.split("."), name
            assert all(int(part) == 0 for part in have[len(least.split(".")) :]), name


def missing(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed


def problem() -> hpo.Problem:
    return hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_report(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, package)
    with pytest.raises(MissingExtra, match=r"^a report needs matplotlib and jinja2: pip install matplotlib jinja2$"):
        write_report(hpo.open_study("a", problem(), storage=":memory:"), tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "installed", lambda package: None if package == "scikit-learn" else "1.0")
    with pytest.raises(MissingExtra, match=r"^the demo needs scikit-learn: pip install scikit-learn$"):
        demo.demo(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_an_earlier_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "alembic")
    path = restored(tmp_path / "hpo.db", "0001")
    with pytest.raises(MissingExtra) as caught:
        open_storage(path)
    assert str(caught.value) == (
        f"an earlier version of hpo made {path}; to bring it up to date needs alembic: pip install alembic. "
        "Nothing was changed"
    )
    assert list(tmp_path.glob("*before*")) == []
    assert look(path, "SELECT * FROM hpo_version") == [("0001",)]
    open_storage(tmp_path / "new.db").close()

"""Everything public is on a page."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import pytest

import hpo
from hpo import errors, executors, report, storage, strategies
from hpo.cli.study_file import _KEYS
from hpo.strategies.registry import _BUILT_IN
from hpo.study.leases import Leases
from hpo.trials import events
from tests.house.source import HPO, ROOT, modules

DOCS = ROOT / "docs"
API = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
ERRORS = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
EVENTS = (DOCS / "reference" / "events.md").read_text(encoding="utf-8")
FILE = (DOCS / "reference" / "study-file.md").read_text(encoding="utf-8")
CLI = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")

PAGES = sorted(
    p for p in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")] if "_build" not in p.parts
)


@pytest.mark.parametrize("name", hpo.__all__)
def test_every_public_name_has_an_entry(name: str) -> None:
    assert re.search(rf"`hpo\.{re.escape(name)}\b", API)


@pytest.mark.parametrize("name", [n for cls in (hpo.Study, Leases) for n in vars(cls) if not n.startswith("_")])
def test_every_member_of_a_study_is_listed(name: str) -> None:
    assert re.search(rf"`{name}\b", API)


@pytest.mark.parametrize(
    "value",
    [
        *(hpo.Float, hpo.Int, hpo.Categorical, hpo.Objective, hpo.Constraint, hpo.Tracked, hpo.Budget),
        *(executors.Processes, executors.Subprocess, executors.Threads, executors.Inline, executors.Slurm),
        *(executors.Simulated, executors.Failures, executors.Lognormal, executors.Recorded),
        *(executors.Dask, executors.Ray),
        *(strategies.Bayesian, strategies.Grid, strategies.OneAtATime, strategies.Random, strategies.Sobol),
        *(hpo.maximize, hpo.minimize, hpo.run, hpo.open_study, hpo.Study.tell, hpo.Study.fail, hpo.Study.ask),
    ],
    ids=lambda value: value.__qualname__,
)
def test_every_argument_is_shown_in_order(value: object) -> None:
    name = value.__qualname__.removeprefix("Study.")  # type: ignore[attr-defined]
    shown = re.search(rf"`(?:hpo\.)?{name}\(([^`]*)\)`", API)
    assert shown, f"{name} has no signature in reference/api.md"
    arguments = [p for p in inspect.signature(value).parameters if p != "self"]  # type: ignore[arg-type]
    words = [
        part.split("=")[0].strip() for part in re.split(r",\s*(?![^{]*\})", shown[1]) if part.strip() not in ("", "*")
    ]
    assert words == arguments


def test_trials_and_states_are_described() -> None:
    for field in dataclasses.fields(hpo.Trial):
        assert f"`{field.name}`" in API, field.name
    for state in hpo.TrialState:
        assert f"`{state.name}`" in API


@pytest.mark.parametrize("face", [executors, report, storage, strategies])
def test_every_name_of_a_room_is_listed(face: object) -> None:
    for name in face.__all__:  # type: ignore[attr-defined]
        assert re.search(rf"`(?:hpo\.\w+\.)?{name}\b", API), name


@pytest.mark.parametrize(
    "name", [n for n, v in vars(errors).items() if inspect.isclass(v) and issubclass(v, errors.HpoError)]
)
def test_every_error_has_a_row(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| ([\w, ]+) \|", ERRORS, re.MULTILINE)
    assert row, f"{name} has no row in reference/errors.md"
    bases = [base.__name__ for base in getattr(errors, name).__bases__]
    shown = [base for base in bases if base != "HpoError"] or bases
    assert row[1].split(", ") == shown


def test_the_table_of_events_is_the_one_of_the_code() -> None:
    rows = re.findall(r"^\| (\w+) +\| \w+ +\| (.+?) +\|$", events.__doc__ or "", re.MULTILINE)[1:]
    assert len(rows) == 15, "the table of events in hpo/trials/events.py is read in part, or has grown: count its rows"
    for kind, fields in rows:
        names = re.sub(r"\([^)]*\)|\[[^\]]*\]", "", fields)
        shown = ", ".join(f"`{name.strip()}`" for name in names.split(","))
        assert f"| `{kind}` | {shown} |" in EVENTS


def test_every_key_of_a_study_file_is_described() -> None:
    values = (hpo.Float, hpo.Int, hpo.Categorical, hpo.Objective, hpo.Constraint, hpo.Tracked, hpo.Budget)
    for value in values:
        for field in dataclasses.fields(value):
            if field.init:
                assert f"`{field.name}`" in FILE, f"{value.__name__}.{field.name}"
    for strategy in _BUILT_IN:
        assert f'`"{strategy}"`' in FILE


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, keys in _KEYS.items() for key in keys])
def test_every_key_of_a_section_is_described(section: str, key: str) -> None:
    assert re.search(rf"`{key}`|\[{key}[\].]|`{key} = ", FILE), f"reference/study-file.md has no {section}.{key}"


def test_every_command_and_option_is_described() -> None:
    main = importlib.import_module("hpo.cli.main").main
    assert main.commands
    for name, command in main.commands.items():
        row = re.search(rf"^\| `hpo {name}\b.*$", CLI, re.MULTILINE)
        assert row, f"hpo {name} has no row in reference/cli.md"
        for parameter in command.params:
            for option in [o for o in parameter.opts if o.startswith("--") and o not in ("--help", "--storage")]:
                short = [o for o in parameter.opts if not o.startswith("--")]
                assert any(o in row[0] for o in [option, *short]), f"hpo {name} {option} is on no page"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert not target.startswith("http"), f"{page.name} links out to {target}"
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        if "_build" not in page.parts and page.name != "index.md":
            assert str(page.relative_to(DOCS).with_suffix("")) in index


def test_every_room_and_every_file_is_in_the_picture() -> None:
    picture = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    for path in (ROOT / "hpo").iterdir():
        if path.name not in ("__init__.py", "py.typed", "__pycache__"):
            assert f"`{path.stem}`" in picture or f"`{path.stem}/`" in picture, path.name


def test_every_file_is_explained_in_one_line() -> None:
    page = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### `(\w+)/`\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL)
    listed = {
        (room, file)
        for room, text in sections
        for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for file in re.findall(r"`([\w/]*\w)`", cell)
    }
    inside = [
        path.relative_to(HPO).with_suffix("") for path in modules() if path.name not in ("__init__.py", "__main__.py")
    ]
    files = {(path.parts[0], "/".join(path.parts[1:])) for path in inside if len(path.parts) > 1}
    there = {(room, file) for room, file in files if not file.startswith("migrations/")}
    assert there == listed, f"architecture.md: without a line {there - listed}; no such file {listed - there}"


def test_every_file_that_contributing_names_is_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:hpo|tests)/[\w/.]*)`", page)
    assert len(named) > 40
    assert [path for path in named if not (ROOT / path).exists()] == []

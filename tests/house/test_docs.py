"""Everything public is on a page."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpo
from hpo import errors
from hpo.cli.study_file import _KEYS
from hpo.strategies.registry import _BUILT_IN
from hpo.study.leases import Leases
from hpo.trials import events
from tests.house.public_names import public_names
from tests.house.source import HPO, ROOT, modules

DOCS = ROOT / "docs"
API = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
ERRORS = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
EVENTS = (DOCS / "reference" / "events.md").read_text(encoding="utf-8")
FILE = (DOCS / "reference" / "study-file.md").read_text(encoding="utf-8")
CLI = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")

DIRECTIVE = re.compile(r"^\.\. (\w+):: ([\w.]+)(?:\(\))?\n((?:[ ]+.*\n)*)", re.MULTILINE)


def directives(text: str) -> Iterator[tuple[str, str, str, str]]:
    """(module, directive, name, what is below it) of each name that the blocks of a page describe."""
    for block in re.findall(r"^```\{eval-rst\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        module = ""
        for kind, name, options in DIRECTIVE.findall(block):
            if kind == "currentmodule":
                module = name
            elif kind in ("autoclass", "autofunction", "autoexception", "data"):
                yield module, kind, name, options


PAGES = sorted(
    p for p in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")] if "_build" not in p.parts
)


GENERATED = [
    (page, kind, name, options)
    for page in sorted((DOCS / "reference").glob("*.md"))
    for module, kind, name, options in directives(page.read_text(encoding="utf-8"))
    for name in [f"{module}.{name}" if module else name]
]
"""(page, directive, full name, what is below it) of everything that is described on a page from its docstring."""


@pytest.mark.parametrize("name", [name for name, _ in public_names()] + ["hpo.__version__"])
def test_every_public_name_is_on_one_page(name: str) -> None:
    assert sum(found == name for _, _, found, _ in GENERATED) == 1


@pytest.mark.parametrize("name", [f"hpo.{name}" for name in hpo.__all__ if not name.startswith("__")])
def test_every_name_of_the_package_is_in_the_overview(name: str) -> None:
    assert f"[`{name}`]" in API


@pytest.mark.parametrize("name", sorted({name for _, kind, name, _ in GENERATED if kind.startswith("auto")}))
def test_what_a_page_describes_exists_and_is_what_it_says(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    value = getattr(importlib.import_module(module), attribute)
    for _, kind, found, options in GENERATED:
        if found == name:
            assert inspect.isfunction(value) if kind == "autofunction" else inspect.isclass(value)
            members = re.search(r":members: (.*)", options)
            for member in members[1].split(", ") if members else []:
                assert hasattr(value, member) or any(
                    member in vars(cls).get("__annotations__", {}) for cls in value.__mro__
                )
                assert inspect.getdoc(getattr(value, member, 0)), f"{name}.{member} says nothing"


@pytest.mark.parametrize("cls", [hpo.Study, Leases])
def test_all_of_a_study_is_shown(cls: type) -> None:
    (shown,) = [options for _, _, name, options in GENERATED if name.endswith(f".{cls.__name__}")]
    assert re.search(r":members:\s*$", shown, re.MULTILINE)
    silent = [name for name in vars(cls) if not name.startswith("_") and not inspect.getdoc(getattr(cls, name))]
    assert silent == []


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


def test_every_command_is_in_the_overview_and_says_what_its_options_do() -> None:
    main = importlib.import_module("hpo.cli.main").main
    assert main.commands
    assert ".. click:: hpo.cli.main:main" in CLI
    overview = CLI.partition("## Exit codes")[0]
    for name, command in main.commands.items():
        assert f"`hpo {name}`" in overview, f"hpo {name} is not in the overview of reference/cli.md"
        assert command.help, name
        for option in command.params:
            if option.param_type_name == "option":
                assert option.help, f"hpo {name} {option.opts[0]} says nothing"


def test_figures_of_peers_are_those_that_were_measured() -> None:
    why = (DOCS / "explanation" / "why.md").read_text(encoding="utf-8")
    measured = (DOCS / "explanation" / "measured.md").read_text(encoding="utf-8")
    figures = re.findall(r"[+-][\d.]+ \[[^\]]*\]", why)
    assert len(figures) > 15
    assert [figure for figure in figures if f"| {figure} " not in measured] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert not target.startswith("http"), f"{page.name} links out to {target}"
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page: those of its headings, and of the names that it describes."""
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = [re.sub(r"[`*]", "", line) for line in re.findall(r"^#{1,3} (.*)$", prose, re.MULTILINE)]
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | {name for _, _, name, _ in directives(text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_anchors_of_links_are_there(page: Path) -> None:
    names = {name for _, _, name, _ in GENERATED}
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
        known = anchors(page.parent / target) if target else anchors(page) | names
        assert anchor in known, f"{page.name} links to {target}#{anchor}"


def test_every_page_is_in_an_index() -> None:
    listed = {DOCS / "index"}
    for page in DOCS.rglob("*.md"):
        for tree in re.findall(
            r"^```\{toctree\}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            listed |= {page.parent / line for line in tree.splitlines() if line and not line.startswith(":")}
    pages = {page.with_suffix("") for page in DOCS.rglob("*.md") if "_build" not in page.parts}
    assert pages == listed


def test_every_decision_is_in_their_index_under_its_title() -> None:
    index = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    for page in sorted((DOCS / "decisions").glob("0*.md")):
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        assert f"| [{title}]({page.name}) | " in index


def test_pictures_are_small_and_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = sorted((DOCS / "pictures").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < 150_000
        assert f"pictures/{picture.name})" in text


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

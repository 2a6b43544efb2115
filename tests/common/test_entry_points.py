"""Names of strategies and executors: built in, installed, or written out; what a database names is not imported."""

from __future__ import annotations

import math
import os.path
import sys
from collections import OrderedDict
from pathlib import Path

import pytest

from hpo.common.entry_points import load
from hpo.errors import SettingsError

GROUP = "hpo.tests_of_names"
BUILT_IN = {"root": "math:sqrt", "ordered": "collections:OrderedDict", "join": "os:path.join", "gone": "math:cube"}


@pytest.fixture
def plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installed: `theirs`, `root` in the place of a built-in, and two that are broken."""
    folder = tmp_path / "theirs-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        f"[{GROUP}]\ntheirs = math:floor\nroot = math:ceil\nbroken = theirs_broken:X\nlost = no_such_module:X\n"
        "[hpo.another_group]\nother = math:floor\n"
    )
    (tmp_path / "theirs_broken.py").write_text("import sys\nsys.hpo_was_here = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "value"), [("root", math.sqrt), ("ordered", OrderedDict), ("join", os.path.join), ("math:sqrt", math.sqrt)]
)
def test_built_in_names_and_where_they_point_are_loaded_without_trust(name: str, value: object) -> None:
    assert load(GROUP, name, BUILT_IN) is value


def test_an_installed_name_is_loaded_and_where_it_points_is_trusted(plug_ins: Path) -> None:
    assert load(GROUP, "theirs", BUILT_IN) is math.floor
    assert load(GROUP, "math:floor", BUILT_IN) is math.floor


def test_a_built_in_name_cannot_be_taken_over(plug_ins: Path) -> None:
    assert load(GROUP, "root", BUILT_IN) is math.sqrt


def test_what_is_written_out_is_imported_only_with_trust(plug_ins: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(GROUP, "theirs_broken:sys.path", BUILT_IN)
    assert str(caught.value) == (
        "'theirs_broken:sys.path' is not installed here, and nothing is imported only because a database names it"
    )
    assert "theirs_broken" not in sys.modules
    assert load(GROUP, "theirs_broken:sys.path", BUILT_IN, trust=True) is sys.path
    del sys.modules["theirs_broken"]


@pytest.mark.parametrize("trust", [False, True])
def test_a_name_that_nobody_knows_is_said_with_those_that_are_known(trust: bool, plug_ins: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(GROUP, "theirz", BUILT_IN, trust=trust)
    assert str(caught.value) == (
        "'theirz' is not known (have: theirs, root, broken, lost, ordered, join, gone). Did you mean 'theirs'?"
    )


def test_without_plug_ins_of_the_group_the_built_in_ones_are_known() -> None:
    with pytest.raises(SettingsError) as caught:
        load(GROUP, "theirs", {"root": "math:sqrt"})
    assert str(caught.value) == "'theirs' is not known (have: root)."


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "'gone' stands for math:cube, which cannot be imported: module 'math' has no attribute 'cube'"),
        ("lost", "'lost' stands for no_such_module:X, which cannot be imported: No module named 'no_such_module'"),
        (
            "broken",
            "'broken' stands for theirs_broken:X, which cannot be imported: module 'theirs_broken' has no attribute 'X'",
        ),
        (":x", "':x' stands for :x, which cannot be imported: Empty module name"),
    ],
)
def test_what_cannot_be_imported_is_said_when_it_is_named(name: str, words: str, plug_ins: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(GROUP, name, BUILT_IN, trust=True)
    assert str(caught.value) == words

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.cli.toml_reader import TomlReader, flattened, read_toml
from hpo.errors import DefinitionError, SettingsError

KEYS = {"": ("a", "table"), "table": ("number", "text")}


def written(folder: Path, text: str) -> Path:
    path = folder / "file.toml"
    path.write_text(text, encoding="utf-8")
    return path


def reader(**data: object) -> TomlReader:
    return TomlReader(dict(data), Path("file.toml"), KEYS)


def test_none_is_written_as_a_table(tmp_path: Path) -> None:
    path = written(tmp_path, "choices = [1, { none = true }]\ndefault = { none = true }\nother = { none = 1 }\n")
    assert read_toml(path) == {"choices": [1, None], "default": None, "other": {"none": 1}}


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: cannot be read: No such file"):
        read_toml(tmp_path / "absent.toml")
    with pytest.raises(SettingsError, match=r"file\.toml: not a TOML file: .*line 1"):
        read_toml(written(tmp_path, "a = = 1"))
    for n in (60, 5_000):  # more than is allowed, and more than Python's parser can take
        with pytest.raises(SettingsError, match=r"file\.toml: tables and lists are nested more than \d+ deep"):
            read_toml(written(tmp_path, f"a = {'[' * n}{']' * n}"))


def test_keys_that_nobody_knows_are_faults() -> None:
    given = reader(a=1, tabel={}, table={"numbr": 1})
    given.known("", given.data)
    assert given.section("table") == {"numbr": 1}
    assert given.faults == [
        "tabel: no such key (have: a, table). Did you mean 'table'?",
        "table.numbr: no such key (have: number, text). Did you mean 'number'?",
    ]


def test_a_section_that_is_missing_or_no_table_is_empty_and_a_fault() -> None:
    given = reader(table=3)
    assert given.section("other") == given.section("table") == {}
    assert given.faults == ["other: the file needs a [other] table", "table: the file needs a [table] table, got 3"]


def test_values_are_of_their_kind() -> None:
    table = {"number": 3, "text": True}
    given = reader(table=table)
    assert given.value(table, "table.number", int, "a number") == 3
    assert given.value(table, "table.text", int, "a number") is None
    assert given.value(table, "table.absent", str, "text") is None
    assert given.value(table, "table.absent", str, "text", needed=True) is None
    assert given.faults == ["table.text: expected a number, got True", "table.absent: needed: text"]


def test_faults_of_what_is_built_come_with_their_key() -> None:
    given = reader()

    def two_faults() -> int:
        raise DefinitionError("one", "two")

    def one_fault() -> int:
        raise SettingsError("three")

    assert given.built("here", lambda: 4) == 4
    assert given.built("there", two_faults) is given.built("", one_fault) is None
    assert given.faults == ["there: one", "there: two", "three"]


def test_tables_of_tables_are_flattened() -> None:
    table = {"model": {"lr": 1, "head": {"width": 2}}, "seed": 3}
    assert flattened(table, lambda inner: isinstance(inner, dict)) == {"model.lr": 1, "model.head.width": 2, "seed": 3}

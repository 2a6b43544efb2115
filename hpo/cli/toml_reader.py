"""TOML files: read as they are meant, with every fault under its key.

TOML has no word for None; a file writes `{ none = true }`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hpo.errors import DefinitionError, HpoError, SettingsError, did_you_mean, listing
from hpo.executors.supervisor.command import DEEPEST, is_shallow

T = TypeVar("T")
Table = dict[str, Any]

_TOO_DEEP = f"tables and lists are nested more than {DEEPEST} deep"
_NONE = {"none": True}


def read_toml(path: Path) -> Table:
    """What a file holds. Raises SettingsError where it cannot be read, is not TOML, or is nested too deep."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise SettingsError(f"{path}: not a TOML file: {error}") from error
    except RecursionError:
        raise SettingsError(f"{path}: {_TOO_DEEP}") from None
    if not is_shallow(data):
        raise SettingsError(f"{path}: {_TOO_DEEP}")
    table: Table = _with_none(data)
    return table


class TomlReader:
    """Walks a file once and gathers faults, so that one run shows them all.

    keys: by section, "" for the file itself, the keys that it may have.
    """

    def __init__(self, data: Table, where: Path, keys: Mapping[str, Sequence[str]]) -> None:
        self.data, self.where, self.keys = data, where, keys
        self.faults: list[str] = []

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Gather the faults raised inside, each with its key in front."""
        try:
            yield
        except DefinitionError as error:
            self.faults += [f"{where}: {fault}" if where else fault for fault in error.problems]
        except HpoError as error:
            self.faults.append(f"{where}: {error}" if where else str(error))

    def built(self, where: str, make: Callable[[], T]) -> T | None:
        """What `make` gives; None where it raises, which is a fault."""
        with self.at(where):
            return make()
        return None

    def section(self, name: str) -> Table:
        """The table of this name; that it is missing is a fault."""
        table = self.data.get(name)
        if not isinstance(table, dict):
            given = "" if table is None else f", got {table!r}"
            self.faults.append(f"{name}: the file needs a [{name}] table{given}")
            return {}
        if name in self.keys:
            self.known(name, table)
        return table

    def known(self, name: str, table: Table) -> None:
        """Each unknown key is a fault."""
        for key in table:
            if key not in self.keys[name]:
                path, hint = f"{name}.{key}" if name else key, did_you_mean(key, self.keys[name])
                self.faults.append(f"{path}: no such key (have: {listing(self.keys[name])}).{hint}")

    def value(self, table: Table, path: str, kind: type | tuple[type, ...], words: str, needed: bool = False) -> Any:
        """What stands at `path`, a section and a key; None where it is absent, or not of this `kind`, which is a fault."""
        section, key = path.split(".")
        value = table.get(key)
        if value is None:
            if needed and section in self.data:
                self.faults.append(f"{path}: needed: {words}")
            return None
        if not isinstance(value, kind) or isinstance(value, bool):
            self.faults.append(f"{path}: expected {words}, got {value!r}")
            return None
        return value


def flattened(table: Table, is_group: Callable[[Any], bool], prefix: str = "") -> Table:
    """`{"model": {"lr": leaf}}`, which is how TOML reads `[space.model.lr]`, as `{"model.lr": leaf}`."""
    out: Table = {}
    for name, value in table.items():
        out.update(flattened(value, is_group, f"{prefix}{name}.") if is_group(value) else {prefix + name: value})
    return out


def _with_none(value: Any) -> Any:
    """What the file holds, with None where it says so."""
    if isinstance(value, dict):
        return None if value == _NONE and value["none"] is True else {k: _with_none(v) for k, v in value.items()}
    return [_with_none(inner) for inner in value] if isinstance(value, list) else value

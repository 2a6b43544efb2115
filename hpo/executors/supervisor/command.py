"""Commands of any language: how params go in and how metrics come out.

In:  `{name}` in the arguments; a JSON file, its path in HPO_PARAMS; one variable HPO_PARAM_<NAME> each.
Out: JSON objects, one a line, on standard output (the last value of a metric wins; other lines are log), or one JSON
     object in the file named by HPO_RESULT, which then is the whole result.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import ExecutorError, did_you_mean, listing

Part = str | tuple[str, ...]
"""An argument, or a group of arguments that is left out when one of its parameters is absent."""

LONGEST = 1 << 20
"""Bytes of a line that is read, and of the file named by HPO_RESULT."""

DEEPEST = 50
"""Levels of nesting in what a command reports; Python itself cannot pass on some hundreds."""


@dataclass(frozen=True)
class Command:
    """An argument template: `("python", "train.py", "--lr", "{model.lr}", ("--momentum", "{model.momentum}"))`.

    No shell is involved. `{{` and `}}` are literal braces.
    """

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not self.parts or not isinstance(self.parts[0], str):
            raise ExecutorError(f"a command begins with its program, as text; got {self.parts!r}")
        for text in self._texts():
            _pieces(text)

    @classmethod
    def of(cls, parts: Sequence[str | Sequence[str]]) -> Command:
        """The template as users write it, with lists for groups. Raises ExecutorError for a text in place of a list."""
        refuse_text(parts, "the command")
        return cls(tuple(part if isinstance(part, str) else tuple(part) for part in parts))

    @property
    def names(self) -> frozenset[str]:
        """The parameters its placeholders ask for."""
        return frozenset(name for text in self._texts() for _, name in _pieces(text) if name is not None)

    def render(self, params: Mapping[str, Any]) -> list[str]:
        """The arguments for `params`.

        Raises ExecutorError if a parameter outside a group is absent.
        """
        arguments: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                arguments.append(_fill(part, params))
            elif all(name is None or name in params for text in part for _, name in _pieces(text)):
                arguments += [_fill(text, params) for text in part]
        return arguments

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise ExecutorError if a run with `params` cannot be written down."""
        self.render(params)
        variables(params)

    def _texts(self) -> list[str]:
        return [text for part in self.parts for text in ([part] if isinstance(part, str) else part)]


def refuse_text(parts: object, name: str) -> None:
    """Raise ExecutorError for a text in place of a list of arguments."""
    if isinstance(parts, str):
        raise ExecutorError(f"{name} must be a list of arguments, got the text {parts!r}; as a list: {parts.split()!r}")


def variables(params: Mapping[str, Any]) -> dict[str, str]:
    """HPO_PARAM_<NAME> for each parameter: upper case, everything but letters and digits an underscore.

    Raises ExecutorError if two parameters would share one variable.
    """
    named: dict[str, str] = {}
    for name in params:
        variable = "HPO_PARAM_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
        if variable in named:
            raise ExecutorError(
                f"parameters {named[variable]!r} and {name!r} share the environment variable {variable}; rename one"
            )
        named[variable] = name
    return {variable: as_text(params[name]) for variable, name in named.items()}


def as_text(value: object) -> str:
    """Text as it is, everything else as JSON: `0.001`, `3`, `true`, `null`."""
    return value if isinstance(value, str) else json.dumps(value)


def read_result(output: Path, result: Path) -> tuple[dict[str, Any], str]:
    """The metrics a command reported in `result`, or else on its standard output; and what was not read, in words.

    Neither is held in memory as a whole: of a line beyond LONGEST bytes nothing is read, for no metrics are so long.
    Raises ValueError, worded as the message of a failure, if there are none.
    """
    if result.exists():
        if not result.is_file():
            raise ValueError(
                "what the command left at HPO_RESULT is no file; write one JSON object to a file of that name"
            )
        if result.stat().st_size > LONGEST:
            raise ValueError(f"the file HPO_RESULT names is larger than {LONGEST >> 20} MiB; write names with numbers")
        try:
            value = json.loads(result.read_text())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the file HPO_RESULT names is not JSON: {error}") from error
        if not is_shallow(value):
            raise ValueError(f"the file HPO_RESULT names is nested more than {DEEPEST} deep; write names with numbers")
        if not isinstance(value, dict):
            raise ValueError(f"the file HPO_RESULT names must hold a JSON object, not {value!r}")
        return value, ""
    metrics: dict[str, Any] = {}
    n_skipped = 0
    for line in _lines(output):
        metrics.update(_json_object(line or ""))
        n_skipped += line is None
    notice = f"of its output, {n_skipped} lines longer than {LONGEST >> 20} MiB were not read" if n_skipped else ""
    if not metrics:
        raise ValueError(
            'the command ended well but reported no metrics; print them as one line of JSON, {"accuracy": 0.9}, '
            "or write them to the file named by the environment variable HPO_RESULT" + (f"; {notice}" if notice else "")
        )
    return metrics, notice


def _lines(path: Path) -> Iterator[str | None]:
    """The lines of a file, None for one beyond LONGEST bytes; nothing of what is no file: it may be a pipe without end."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        while line := file.readline(LONGEST):
            if len(line) < LONGEST or line.endswith(b"\n"):
                yield line.decode(errors="replace")
                continue
            while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
            yield None


def _json_object(line: str) -> dict[str, Any]:
    """The JSON object on this line, or {} if it is something else."""
    if not line.lstrip().startswith("{"):
        return {}
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) and is_shallow(value) else {}


def is_shallow(value: object) -> bool:
    """Whether it is nested DEEPEST deep at most."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return not any(isinstance(outer, dict | list) for outer in level)


def _pieces(text: str) -> Sequence[tuple[str, str | None]]:
    """(literal text, placeholder's name or None) in turn."""
    hint = f"in the argument {text!r}; a placeholder is {{name}}, and {{{{ and }}}} are literal braces"
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ExecutorError(f"{error} {hint}") from error
    for _, name, format_spec, conversion in pieces:
        if format_spec or conversion:
            raise ExecutorError(f"formats cannot be given {hint}: a rounded value is not the one that was suggested")
        if name == "":
            raise ExecutorError(f"a placeholder without a name {hint}")
    return [(literal, name) for literal, name, _, _ in pieces]


def _fill(text: str, params: Mapping[str, Any]) -> str:
    filled = ""
    for literal, name in _pieces(text):
        filled += literal
        if name is not None:
            if name not in params:
                raise ExecutorError(
                    f"the command asks for {{{name}}}, but there is no such parameter (have: {listing(params)})."
                    f"{did_you_mean(name, params)} If it is absent on purpose, put the argument and its option in a"
                    " list of their own, which is left out when the parameter is absent"
                )
            filled += as_text(params[name])
    return filled

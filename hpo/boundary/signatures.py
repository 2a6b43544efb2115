"""Signatures: calls that do not fit one, explained."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hpo.boundary.foreign_names import CALLS, KEYWORDS, WORKERS, hint
from hpo.errors import did_you_mean, listing

_LONGEST = 40


def explained(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], said: str) -> str:
    """What Python `said` of a call, without `self` and `__init__`, and what to write instead."""
    name = function.__qualname__.removesuffix(".__init__")
    parameters = list(inspect.signature(function).parameters.values())
    if parameters[:1] and parameters[0].name == "self":
        parameters, args = parameters[1:], args[1:]
    said = said.replace(function.__qualname__, name)
    unknown = [word for word in kwargs if word not in {p.name for p in parameters}]
    if unknown:
        return _unknown(name, unknown, kwargs, [p.name for p in parameters])
    positional = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    if len(args) > len(positional):
        takes = f"only {listing(positional)}" if positional else "nothing" if parameters else "no arguments"
        said = f"{name}() takes {takes}" + (" without a name" if parameters else "")
    return ". ".join(filter(None, [said, _call(name)]))


def _unknown(name: str, unknown: Sequence[str], kwargs: Mapping[str, Any], known: Sequence[str]) -> str:
    found = {word: hint(KEYWORDS, name, word) for word in unknown}
    hints = [text.replace("{}", _shown(kwargs[word], word)) for word, text in found.items() if text]
    stranger = next((word for word, text in found.items() if not text), None)
    if stranger is not None:
        takes = f"It takes {listing(known, 12) or 'no arguments'}"
        hints += [close] if (close := did_you_mean(stranger, known).strip()) else [takes, _call(name)]
    words = "an unexpected keyword argument" if len(unknown) == 1 else "unexpected keyword arguments"
    return f"{name}() got {words} {listing(map(repr, unknown))}. {'. '.join(filter(None, dict.fromkeys(hints)))}"


def _call(name: str) -> str:
    return f"Write {CALLS[name]}" if name in CALLS else ""


def _shown(value: object, word: str) -> str:
    if word in WORKERS.split() and isinstance(value, int) and value < 1:  # as many as there are, to others
        return "os.cpu_count()"
    text = repr(value)
    return text if len(text) <= _LONGEST else "..."

"""Sending a function to another process, and saying what hinders it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence, Set
from types import FunctionType, MethodType

import cloudpickle  # type: ignore[import-untyped]  # it ships no types

from hpo.errors import ExecutorError
from hpo.executors.base import Function

MAX_DEPTH = 20


def pickle_function(function: Function) -> bytes:
    """The function as bytes; by value where a fresh process could not import it: `__main__`, notebooks, lambdas.

    Raises ExecutorError that names the attribute which cannot be pickled.
    """
    try:
        return bytes(cloudpickle.dumps(function))
    except Exception as error:
        path, culprit = _find_culprit(function)
        raise ExecutorError(
            f"the function cannot be sent to a worker process: {path} is a {type(culprit).__qualname__}"
            f" ({error}). Create it inside the function, or use Threads, which send nothing"
        ) from error


def _find_culprit(value: object) -> tuple[str, object]:
    """The innermost part of `value` that cannot be pickled, and the way to it: `train.model.lock`."""
    path, seen = _name(value), {id(value)}
    for _ in range(MAX_DEPTH):
        for step, part in _parts(value):
            if id(part) not in seen and not _can_pickle(part):
                seen.add(id(part))
                path, value = path + step, part
                break
        else:
            break
    return path, value


def _name(value: object) -> str:
    return str(getattr(value, "__qualname__", None) or type(value).__qualname__)


def _can_pickle(value: object) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:
        return False
    return True


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """(how one writes it, part) for what pickling `value` would pickle too."""
    if isinstance(value, functools.partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            try:
                yield f".{name}", cell.cell_contents
            except ValueError:  # not bound yet
                continue
        for name in value.__code__.co_names:
            if name in value.__globals__:
                yield f".{name}", value.__globals__[name]
        yield from ((f".__defaults__[{i}]", part) for i, part in enumerate(value.__defaults__ or ()))
    elif isinstance(value, Mapping):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes)):
        yield from ((f"[{i}]", part) for i, part in enumerate(value))
    yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())

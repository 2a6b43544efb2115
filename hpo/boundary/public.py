"""Public: where calls of the user enter the library, and where its errors leave it.

An HpoError ends at the line of the user that caused it, and so does what a run raises at its end after Ctrl-C: the frames
inside the library say nothing to its reader. A call that does not fit a signature, or a name that does not exist, ends with
what to write instead. HPO_TRACEBACK=full in the environment shows all frames, for a report of a bug. Errors that are not
HpoErrors keep every frame.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from types import FrameType, FunctionType, TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

from hpo.errors import HpoError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_OURS = "hpo"
_CALLED = sys.stdlib_module_names | {"alembic", "cloudpickle", "dask", "distributed", "psycopg", "ray", "sqlalchemy"}
"""What the library calls, and what calls it back: below a frame of ours, these frames are the library's too."""


def public(function: Callable[P, R]) -> Callable[P, R]:
    """`function` as users call it: errors end at their line. Its signature and its documentation stay."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (HpoError, KeyboardInterrupt) as error:
            if error.args:  # a Ctrl-C without words may come from anywhere, and shows where
                _shorten(error)
            raise  # adds no frame of its own
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the arguments do not fit
                from hpo.boundary.signatures import explained

                error.args = (explained(function, args, kwargs, str(error)),)
                error.__traceback__ = None if _is_short() else error.__traceback__
            raise

    return call


def public_class(cls: type[T]) -> type[T]:
    """`cls` with a public constructor."""
    if isinstance(own := vars(cls).get("__init__"), FunctionType):
        setattr(cls, "__init__", public(own))  # noqa: B010  (mypy knows of no assignment to __init__)
    return cls


def public_members(cls: type[T]) -> type[T]:
    """`cls` with public methods and properties, and hints for names that it does not have."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_"):
            continue
        if isinstance(member, FunctionType):
            setattr(cls, name, public(member))
        elif isinstance(member, property) and member.fget is not None:
            setattr(cls, name, property(public(member.fget), member.fset, member.fdel, member.__doc__))
    return hinting(public_class(cls))


def hinting(cls: type[T]) -> type[T]:
    """`cls` with hints for names that it does not have, and for its params taken as items. Type checkers do not see it, and
    still refuse these."""
    setattr(cls, "__getattr__", _no_attribute)  # noqa: B010
    if "params" in cls.__annotations__:
        setattr(cls, "__getitem__", _no_item)  # noqa: B010
    return cls


def face(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module whose names are loaded when they are first used: `homes` says from which module below
    it, "" for that module itself. Other names end with a hint."""

    def load(name: str) -> Any:
        if name not in homes:
            try:
                raise no_name(module, name, sys._getframe(1))
            except (AttributeError, ImportError) as error:
                error.__traceback__ = None
                raise
        home = importlib.import_module(f"{module}.{homes[name] or name}")
        value = getattr(home, name) if homes[name] else home
        setattr(sys.modules[module], name, value)
        return value

    return load


def no_name(module: str, name: str, caller: FrameType) -> AttributeError | ImportError:
    """The error for a name that a module of the library does not have. An ImportError where `from module import name` has
    asked, and nothing of this name can be imported: of an AttributeError the user would not see the hint."""
    hint = _instead(module, name)
    if hint and caller.f_globals.get("__name__") == "importlib._bootstrap" and not _is_module(f"{module}.{name}"):
        return ImportError(f"cannot import name {name!r} from {module!r}{hint}", name=module)
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")


def _is_module(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _no_attribute(self: object, name: str) -> NoReturn:
    if hasattr(type(self), name):  # it exists, and has raised an AttributeError itself, which this raises again
        object.__getattribute__(self, name)
    owner, text = type(self).__name__, ""
    if not name.startswith("__"):  # which copy and pickle look for
        text = _instead(owner, name) or _as_param(self, name)
    try:
        raise AttributeError(f"{owner!r} object has no attribute {name!r}{text}", name=name, obj=self)
    except AttributeError as error:
        error.__traceback__ = None
        raise


def _no_item(self: object, name: object) -> NoReturn:
    try:
        raise TypeError(f"{type(self).__name__!r} object is not subscriptable. Write trial.params[{name!r}]")
    except TypeError as error:
        error.__traceback__ = None
        raise


def _instead(owner: str, name: str) -> str:
    from hpo.boundary.foreign_names import NAMES, hint

    text = hint(NAMES, owner, name)
    return f". {text}" if text else ""


def _as_param(self: object, name: str) -> str:
    params = self if isinstance(self, dict) else vars(self).get("params")
    return f'. Params are a mapping: write trial.params["{name}"]' if params and name in params else ""


def _shorten(error: BaseException) -> None:
    """Leave in the tracebacks of `error` and its causes what is the user's; a cause without such a frame is shown no
    more, and stays in `__context__`."""
    if not _is_short():
        return
    error.__traceback__ = frames_of_user(error.__traceback__)
    link: BaseException | None = error
    while link is not None:
        if (cause := link.__cause__) is None and not link.__suppress_context__:
            cause = link.__context__
        if cause is not None and cause.__traceback__ is not None:
            if not frames_of_user(cause.__traceback__):
                link.__cause__, link.__context__ = None, cause
                return
            cause.__traceback__ = _frames_shown(cause)
        link = cause


def frames_of_user(trace: TracebackType | None) -> TracebackType | None:
    """`trace` without the frames of the library, and of what it calls."""
    kept, is_hidden = [], False
    while trace is not None:
        home = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        is_hidden = home == _OURS or (is_hidden and home in _CALLED)
        if not is_hidden:
            kept.append(trace)
        trace = trace.tb_next
    for link in reversed(kept):
        trace = TracebackType(trace, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return trace


def _frames_shown(cause: BaseException) -> TracebackType | None:
    """The user's, unless it arose in the library's code and is none of its own errors."""
    trace, kept = cause.__traceback__, frames_of_user(cause.__traceback__)
    return kept if isinstance(cause, HpoError) or _deepest(kept) is _deepest(trace) else trace


def _deepest(trace: TracebackType | None) -> FrameType | None:
    frame = None
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
    return frame


def _is_short() -> bool:
    return os.environ.get("HPO_TRACEBACK") != "full"

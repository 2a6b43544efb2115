"""open_study: make a study, or go on with it."""

from __future__ import annotations

import uuid
from pathlib import Path

from hpo.boundary.public import public
from hpo.common.randomness import fresh_seed
from hpo.common.redact import stored_text
from hpo.common.scalars import plain
from hpo.common.text import forbidden
from hpo.errors import DefinitionChanged, SettingsError, StudyNotFound, did_you_mean, listing
from hpo.problem.json_format import problem_to_json
from hpo.problem.problem import Problem
from hpo.problem.space import Space
from hpo.storage import Storage, open_storage
from hpo.storage.open_storage import missing_file
from hpo.storage.retry import retrying
from hpo.strategies import Bayesian, Strategy
from hpo.strategies.registry import to_json
from hpo.study.provenance import provenance
from hpo.study.study import Study

_WAYS_OUT = (
    "Leave the problem out to go on with the stored one, edit limits with study.edit_metric(...), or pick a new name"
)


@public
def open_study(
    name: str,
    problem: Problem | None = None,
    *,
    storage: str | Path | Storage = "hpo.db",
    seed: int | None = None,
    strategy: Strategy | None = None,
    author: str = "",
    reason: str = "",
    data: str = "",
) -> Study:
    """Create the study `name`, or open it again.

    Args:
        name: What it is stored under.
        problem: What is to be solved. None: the study must exist.
        storage: A file (SQLite), ":memory:", a database URL or a `Storage`.
        seed: A whole number of at least 0 that makes the suggestions repeatable. None: the stored one, or a new one
            that is drawn and kept.
        strategy: What suggests. None: the stored one, which is `Bayesian` for a new study that was given none.
        author: Who creates the study; kept with it. Empty: the login name.
        reason: Why; kept with it.
        data: A name of the data that is trained on, such as `fingerprint("train.csv")`. Results on other data do not
            compare.

    Returns:
        The study.

    Raises:
        StudyNotFound: There is no such study, and no problem to create it with.
        DefinitionChanged: The stored problem, seed or data differ from the given ones. The message says in which
            fields.
        SettingsError: An argument is invalid. Nothing was created.

    Example:
        >>> import hpo
        >>> problem = hpo.Problem(hpo.Space({"x": (0.0, 1.0)}), [hpo.Objective("y")])
        >>> hpo.open_study("parabola", problem, storage=":memory:", seed=1)
        <Study 'parabola': 0 trials, 0 in flight>
    """
    _check(name, problem, data)
    seed, settings = _checked_seed(seed), to_json(strategy or Bayesian())
    if problem is None and (file := missing_file(storage)):
        raise StudyNotFound(f"no study {name!r}: there is no file {file}; give a problem to create both")
    store = open_storage(storage)
    record = retrying(lambda _: store.load(name))
    if record is None:
        if problem is None:
            raise _not_found(name, store)
        if fault := forbidden(name):
            raise SettingsError(f"study name {name!r} {fault}")
        facts = {
            "id": uuid.uuid4().hex,
            "seed": fresh_seed() if seed is None else seed,
            "strategy": settings,
            **provenance(author, reason, data),
        }
        record = retrying(lambda _: store.create(name, problem_to_json(problem), facts))
    study = Study(record, store, strategy)
    if problem is not None and (differences := _differences(study, problem, seed, data)):
        raise DefinitionChanged(name, differences, _WAYS_OUT)
    return study


def _check(name: object, problem: object, data: object) -> None:
    """Raise SettingsError if one of them is invalid."""
    if not isinstance(name, str) or not name.strip():
        given = 'a Problem: open_study("digits", problem)' if isinstance(name, Problem) else repr(name)
        raise SettingsError(f"a study needs a name that says what is tuned, got {given}")
    if problem is not None and not isinstance(problem, Problem):
        hint = "; make one of it: Problem(space, [Objective(...)])" if isinstance(problem, Space) else ""
        raise SettingsError(f"study {name!r} needs a Problem, got a {type(problem).__name__}{hint}")
    if not isinstance(data, str):
        raise SettingsError(f'open_study(data={data!r}): name the data by a text, such as hpo.fingerprint("train.csv")')


def _not_found(name: str, store: Storage) -> StudyNotFound:
    known = retrying(lambda _: store.names())
    return StudyNotFound(
        f"no study {name!r} in {store.url}.{did_you_mean(name, known)} "
        + (f"It has: {listing(known)}" if known else "It has none yet; give a problem to create it")
    )


def _differences(study: Study, problem: Problem, seed: int | None, data: str) -> list[str]:
    """Where a stored study differs from what is given, field by field."""
    differences = study.problem.differences(problem)
    if seed is not None and seed != study.seed:
        differences.append(f"seed: stored {study.seed}, given {seed}")
    stored = stored_text(study.facts.get("data", ""))
    if data and stored_text(data) != stored:
        differences.append(f"data: stored {stored or 'none'}, given {stored_text(data)}")
    return differences


def _checked_seed(given: object) -> int | None:
    seed = plain(given)
    if seed is None or (isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0):
        return seed
    raise SettingsError(f"seed={given!r} is not a whole number of at least 0, like seed=42; leave it out to draw one")

"""The table of foreign names: what it answers is really there, and what it answers for is not."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import hpo
from hpo.boundary.foreign_names import CALLS, KEYWORDS, NAMES, Hints, hint
from hpo.study.leases import Leases

OWNERS: Mapping[str, Any] = {"Study": hpo.Study, "Trial": hpo.Trial, "History": hpo.History}
TEXTS = sorted({text for table in (*NAMES.values(), *KEYWORDS.values()) for text in table} | set(CALLS.values()))


def words(table: Hints) -> list[str]:
    """Every name that a table answers for."""
    return [name for names in table.values() for name in names.split()]


def called(name: str) -> Callable[..., Any]:
    """The function or class of this name."""
    owner, _, method = name.rpartition(".")
    for place in (hpo, hpo.executors, hpo.strategies, hpo.report):
        if hasattr(place, owner or name):
            found: Callable[..., Any] = getattr(place, owner or name)
            return getattr(found, method) if owner else found
    raise AssertionError(f"nothing is called {name}")


@pytest.mark.parametrize("owner", NAMES)
def test_no_foreign_name_is_one_of_ours(owner: str) -> None:
    module = OWNERS.get(owner) or importlib.import_module(owner)
    loaded = {"study", "space", "trial"} if owner == "hpo" else set()  # modules, which are there once they are imported
    assert not [name for name in words(NAMES[owner]) if hasattr(module, name) and name not in loaded]
    fields = [f.name for f in hpo.Trial.__dataclass_fields__.values()] if owner == "Trial" else []
    assert not set(fields) & set(words(NAMES[owner]))


@pytest.mark.parametrize("owner", KEYWORDS)
def test_no_foreign_argument_is_one_of_ours(owner: str) -> None:
    parameters = inspect.signature(called(owner)).parameters
    assert not set(words(KEYWORDS[owner])) & set(parameters)
    for text in KEYWORDS[owner]:
        for name in re.findall(r"^Write (\w+)=", text):
            assert name in parameters, f"{owner} has no {name}"


@pytest.mark.parametrize("table", [*NAMES.values(), *KEYWORDS.values()], ids=[*NAMES, *KEYWORDS])
def test_a_name_has_one_answer(table: Hints) -> None:
    names = words(table)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_answered_exists(text: str) -> None:
    for path in re.findall(r"\bhpo(?:\.(?!db\b)[a-zA-Z_]+)+", text):
        value: Any = hpo
        for part in path.split(".")[1:]:
            value = getattr(value, part)
    for name in re.findall(r"\bstudy\.([a-z_]+)", text):
        assert name in vars(hpo.Study)
    for name in re.findall(r"\bstudy\.leases\.([a-z_]+)", text):
        assert name in vars(Leases)
    for name in re.findall(r"\bhistory\.([a-z_]+)", text):
        assert name in vars(hpo.History)
    for name in re.findall(r"\btrial\.([a-z_]+)", text):
        assert name in hpo.Trial.__dataclass_fields__ or hasattr(hpo.Trial, name)


PROBLEM = hpo.Problem(
    hpo.Space({"lr": hpo.Float(1e-5, 1e-1, log=True)}),
    [hpo.Objective("accuracy"), hpo.Constraint("latency_ms", upper=5.0)],
)


@pytest.mark.parametrize("name", [n for n in CALLS if n not in ("Slurm", "simulate", "write_report")])
def test_calls_can_be_made(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy

    monkeypatch.chdir(tmp_path)
    alone = hpo.Problem(PROBLEM.space, [hpo.Objective("accuracy")])
    is_limited = name == "Study.edit_metric"
    study = hpo.open_study("s", PROBLEM if is_limited else alone, storage=":memory:", seed=0)
    names = {
        "hpo": hpo,
        "numpy": numpy,
        "study": study,
        "trial": study.ask(),
        "space": PROBLEM.space,
        "problem": PROBLEM,
        "objective": lambda trial: trial.params["lr"],
        "make": lambda: None,
    }
    for call in CALLS[name].split(", or "):
        eval(call, names)


def test_nobody_knows_what_nobody_knows() -> None:
    assert hint(NAMES, "hpo", "nonsense") == ""
    assert hint(NAMES, "Space", "best_params") == ""
    assert hint(KEYWORDS, "run", "") == ""


@pytest.mark.parametrize("name", [n for n in vars(Leases) if not n.startswith("_") and n not in vars(hpo.Study)])
def test_what_a_study_had_before_its_leases_did_is_answered(name: str) -> None:
    study = hpo.open_study("s", PROBLEM, storage=":memory:", seed=0)
    with pytest.raises(
        AttributeError, match=rf"'Study' object has no attribute '{name}'\. Write study\.leases\.{name}$"
    ):
        getattr(study, name)


@pytest.mark.parametrize(
    ("module", "name", "text"),
    [
        ("hpo.executors", "Work", "Write hpo.executors.Task"),
        ("hpo.study", "Study", "Write hpo.Study"),
        ("hpo.study", "Leases", "Write study.leases, of a study that is open"),
        ("hpo.testing", "engines", "Write hpo.testing.clusters"),
    ],
)
def test_what_has_another_name_now_is_answered(module: str, name: str, text: str) -> None:
    with pytest.raises(ImportError, match=re.escape(f"cannot import name '{name}' from '{module}'. {text}")):
        exec(f"from {module} import {name}")


def test_as_many_workers_as_there_are_is_written_in_python() -> None:
    with pytest.raises(TypeError, match=r"n_jobs'\. Write slots=os\.cpu_count\(\)"):
        hpo.executors.Processes(n_jobs=-1)  # type: ignore[call-arg]

"""Errors end at the line of the user; names and calls that do not fit say what to write; nothing else changes."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpo
from hpo import executors, strategies
from hpo.boundary.public import frames_of_user, public
from hpo.errors import ExecutorError, NotFound, ParamsError, SettingsError, StorageError, TrialNotFound
from hpo.running.objective import Evaluate
from hpo.strategies import Suggestion
from hpo.trials.history import History

SPACE = hpo.Space({"x": hpo.Float(0.0, 1.0), "n": hpo.Int(1, 4)})
PROBLEM = hpo.Problem(SPACE, [hpo.Objective("y"), hpo.Constraint("z", upper=1.0)])
PARAMS = {"x": 0.5, "n": 2}


def study(**settings: Any) -> hpo.Study:
    """An empty study in memory."""
    return hpo.open_study("s", PROBLEM, storage=":memory:", seed=1, **settings)


def train(trial: hpo.Trial) -> dict[str, float]:
    """What fits the problem."""
    return {"y": trial.params["x"], "z": 0.0}


MISTAKES = {
    "tell": lambda s: s.tell(s.ask(), {"y": 1.0}),
    "tell text": lambda s: s.tell(s.ask(), {"y": "high", "z": 0.0}),
    "tell whom": lambda s: s.tell(99, {"y": 1.0, "z": 0.0}),
    "add": lambda s: s.add({"x": 7.0}, {"y": 1.0, "z": 0.0}),
    "ask": lambda s: s.ask(0),
    "fail": lambda s: s.fail(s.ask(), "OOM"),
    "cancel": lambda s: s.cancel("first"),
    "enqueue": lambda s: s.enqueue({"x": 7.0}),
    "enqueue a list": lambda s: s.enqueue([0.5, 2]),
    "requeue": lambda s: s.requeue(7),
    "edit": lambda s: s.edit_metric("z", reason="why not"),
    "best": lambda s: s.best,
    "recommended": lambda s: s.recommended,
    "closest": lambda s: s.closest(),
    "best of history": lambda s: s.history.best,
    "run": lambda s: hpo.run(s, lambda trial: {"y": 1.0}, budget=hpo.Budget(trials=1)),
    "run what": lambda s: hpo.run(s, train(s.ask()), budget=hpo.Budget(trials=1)),  # type: ignore[arg-type]
    "run no study": lambda s: hpo.run(PROBLEM, train, budget=hpo.Budget(trials=1)),  # type: ignore[arg-type]
    "run budget": lambda s: hpo.run(s, train, budget=20),  # type: ignore[arg-type]
    "run limits": lambda s: hpo.run(s, train, budget=hpo.Budget(trials=1), timeout=9.0),
    "open_study": lambda s: hpo.open_study("none", storage=s.storage),
    "open_study changed": lambda s: hpo.open_study("s", hpo.Problem(SPACE, [hpo.Objective("y")]), storage=s.storage),
    "open_study where": lambda s: hpo.open_study("s", PROBLEM, storage="mysql://u@h/d"),
    "maximize": lambda s: hpo.maximize(train, SPACE, limits={"z": 5}),  # type: ignore[dict-item]
    "simulate": lambda s: hpo.simulate(train),  # type: ignore[arg-type]
    "space": lambda s: hpo.Space({}),
    "float": lambda s: hpo.Float(1.0, 0.0),
    "int": lambda s: hpo.Int(1.5, 2),  # type: ignore[arg-type]
    "categorical": lambda s: hpo.Categorical([]),
    "canonical": lambda s: SPACE.canonical({"x": 7.0}),
    "problem": lambda s: hpo.Problem(SPACE, []),
    "metric": lambda s: PROBLEM.metric("w"),
    "objective": lambda s: hpo.Objective("y", "max"),  # type: ignore[arg-type]
    "constraint": lambda s: hpo.Constraint("z"),
    "budget": lambda s: hpo.Budget(wall="2 hours"),
    "grid": lambda s: strategies.Grid(),
    "processes": lambda s: executors.Processes(0),
    "threads": lambda s: executors.Threads(0),
    "subprocess": lambda s: executors.Subprocess("python train.py"),
    "an argument too many": lambda s: hpo.Float(0.0, 1.0, "log"),  # type: ignore[call-arg, arg-type]
    "an argument missing": lambda s: hpo.run(s, train),  # type: ignore[call-arg]
    "an argument unknown": lambda s: hpo.run(s, train, n_trials=20),  # type: ignore[call-arg]
    "a study by its class": lambda s: hpo.Study("s"),  # type: ignore[call-arg, arg-type]
    "a method's argument": lambda s: s.ask(n_points=4),
    "a name of the face": lambda s: hpo.create_study,  # type: ignore[attr-defined]
    "a name of a room": lambda s: strategies.TPESampler,  # type: ignore[attr-defined]
    "a name of executors": lambda s: executors.Parallel,  # type: ignore[attr-defined]
    "a name of a study": lambda s: s.best_params,
    "a name of a trial": lambda s: s.ask().suggest_float,
    "a name of a history": lambda s: s.history.best_trial,
    "a name of a storage": lambda s: hpo.storage.RDBStorage,  # type: ignore[attr-defined]
    "a name of a report": lambda s: hpo.report.plot,  # type: ignore[attr-defined]
    "a trial as its params": lambda s: s.ask()["x"],
    "a param as a name": lambda s: s.ask().params.x,
}


def caught(call: Any) -> BaseException:
    """What `call(study)` raises."""
    with pytest.raises(Exception) as info:  # noqa: PT011
        call(study())
    return info.value


def homes(error: BaseException) -> list[str]:
    """The modules of the frames below this file's first that a reader is shown."""
    return [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)][1:]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_at_the_line_of_the_user(mistake: str) -> None:
    error = caught(MISTAKES[mistake])
    assert isinstance(error, hpo.HpoError | TypeError | AttributeError)
    assert set(homes(error)) == {__name__}
    text = "".join(traceback.format_exception(error))
    assert text.count("Traceback") == 1, text


def test_all_frames_are_shown_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_TRACEBACK", "full")
    assert len([home for home in homes(caught(MISTAKES["tell"])) if home.startswith("hpo.")]) > 3


def test_a_script_shows_one_block(tmp_path: Path) -> None:
    script = tmp_path / "first.py"
    script.write_text(
        "import hpo\n"
        "problem = hpo.Problem(hpo.Space({'x': hpo.Float(0.0, 1.0)}), [hpo.Objective('accuracy')])\n"
        "study = hpo.open_study('s', problem, storage='hpo.db')\n"
        "study.tell(study.ask(), {'acuracy': 1.0})\n"
    )
    done = subprocess.run([sys.executable, "first.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert [line for line in lines if "File" in line] == [f'  File "{script}", line 4, in <module>']
    assert lines[-1] == (
        "hpo.errors.MissingMetric: trial 0 reported {'acuracy'}; missing 'accuracy'. Is 'acuracy' a misspelling of it? "
        "Nothing is recorded"
    )


def test_a_cause_inside_the_library_is_not_shown_and_not_lost(tmp_path: Path) -> None:
    (tmp_path / "hpo.db").write_text("no database " * 100)
    with pytest.raises(StorageError) as info:
        hpo.open_study("s", PROBLEM, storage=tmp_path / "hpo.db")
    assert info.value.__cause__ is None
    assert info.value.__suppress_context__
    assert type(info.value.__context__).__module__.startswith("sqlalchemy")


def test_an_error_of_the_user_that_is_the_cause_is_shown() -> None:
    def fails() -> None:
        raise ZeroDivisionError("mine")

    def mends() -> None:
        try:
            fails()
        except ZeroDivisionError:
            study().tell(7, {"y": 1.0, "z": 0.0})

    with pytest.raises(TrialNotFound) as info:
        mends()
    assert isinstance(info.value.__context__, ZeroDivisionError)
    assert "in fails" in "".join(traceback.format_exception(info.value))


@dataclass(frozen=True)
class Wrong:
    """A strategy of the user whose own code makes a mistake."""

    error: str = "ours"

    def suggest(self, history: History, n: int, rng: np.random.Generator) -> list[Suggestion]:
        """Raise an error of the library, or another."""
        if self.error == "ours":
            history.problem.space.canonical({"x": 7.0})
        raise KeyError("of its own")


def test_frames_of_the_user_below_the_library_are_shown() -> None:
    with pytest.raises(ParamsError) as info:
        study(strategy=Wrong()).ask()
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(info.value.__traceback__)]
    assert names == ["test_frames_of_the_user_below_the_library_are_shown", "suggest"]


def test_a_cause_is_shown_from_the_users_function_on_unless_it_is_a_bug_of_ours() -> None:
    def broken(trial: hpo.Trial) -> float:
        return 1 / float(0 * trial.number)

    def frames(objective: Any, trial: Any) -> list[str]:
        with pytest.raises(ExecutorError) as info:
            stopped(Evaluate(objective), {"number": 0, "params": {"x": 0.5}, "seed": 1, **trial})
        assert info.value.__cause__ is not None
        return [frame.f_code.co_name for frame, _ in traceback.walk_tb(info.value.__cause__.__traceback__)]

    @public
    def stopped(evaluate: Evaluate, payload: dict[str, Any]) -> None:
        try:
            evaluate(payload)
        except Exception as error:
            raise ExecutorError("the run is stopped") from error

    assert frames(broken, {}) == ["stopped", "broken"]
    assert frames(broken, {"values": 1, "nonsense": 2}) == ["stopped", "__call__"]


@pytest.mark.parametrize(("words", "is_short"), [((), False), (("interrupted: 5 results are kept",), True)])
def test_an_interrupt_with_words_is_the_librarys_own(words: tuple[str, ...], is_short: bool) -> None:
    def within(history: History) -> float:
        raise KeyboardInterrupt(*words)

    with pytest.raises(KeyboardInterrupt) as info:
        study().leases.claim(1, "me", lease=60.0, within=within)
    assert ("hpo.study.asking" not in homes(info.value)) == is_short


def test_other_errors_keep_every_frame() -> None:
    with pytest.raises(KeyError) as info:
        study(strategy=Wrong("another")).ask()
    assert "hpo.study.asking" in homes(info.value)
    assert frames_of_user(info.value.__traceback__) is not None


def test_a_type_error_inside_a_call_is_not_taken_for_one_of_its_arguments() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'random'") as info:
        SPACE.sample(0, 1)  # type: ignore[arg-type]
    assert "hpo.problem.space" in homes(info.value)

    def broken(history: History) -> float:
        raise TypeError("got an unexpected keyword argument 'n_trials'")

    with pytest.raises(TypeError) as of_user:
        study().leases.claim(1, "me", lease=60.0, within=broken)
    assert str(of_user.value) == "got an unexpected keyword argument 'n_trials'"
    assert {"hpo.study.asking", __name__} <= set(homes(of_user.value))


def test_threads_get_the_same() -> None:
    s = study()
    with ThreadPoolExecutor(4) as pool:
        raised = [pool.submit(s.tell, n, {"y": 1.0, "z": 0.0}).exception() for n in range(20)]
    for error in raised:
        assert isinstance(error, TrialNotFound)
        assert not [home for home in homes(error) if home.startswith("hpo.")]


def test_signatures_and_documentation_stay() -> None:
    assert list(inspect.signature(hpo.run).parameters)[:3] == ["study", "objective", "budget"]
    assert list(inspect.signature(hpo.Float).parameters)[:3] == ["low", "high", "log"]
    assert list(inspect.signature(hpo.Study.tell).parameters)[:3] == ["self", "trial", "values"]
    assert hpo.run.__name__ == "run"
    assert hpo.run.__module__ == "hpo.running.runner"
    assert inspect.getdoc(hpo.Study.best) == inspect.getdoc(vars(hpo.Study)["best"].fget)
    assert pickle.loads(pickle.dumps(hpo.run)) is hpo.run


def test_a_name_that_is_absent_is_absent() -> None:
    s, trial = study(), study().ask()
    with pytest.raises(AttributeError, match=r"'best_params'. Write study.best.params$"):
        _ = s.best_params  # type: ignore[attr-defined]  # which type checkers still see
    for value in (s, trial, trial.params, hpo, strategies, executors):
        assert not hasattr(value, "create_study")
        assert getattr(value, "suggest_float", None) is None
    assert copy.copy(trial) == copy.deepcopy(trial) == pickle.loads(pickle.dumps(trial)) == trial
    assert pickle.loads(pickle.dumps(trial.params)) == trial.params
    with pytest.raises(TypeError, match=r"'Trial' object is not subscriptable. Write trial.params\['x'\]"):
        _ = trial["x"]  # type: ignore[index]
    with pytest.raises(TypeError):
        list(trial)  # type: ignore[call-overload]
    assert np.asarray([trial], dtype=object)[0] is trial


def test_an_attribute_error_of_a_property_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: hpo.Study) -> str:
        raise AttributeError("of its own")

    monkeypatch.setattr(hpo.Study, "seed", property(broken))
    with pytest.raises(AttributeError, match=r"^of its own$"):
        _ = study().seed


def test_an_import_of_a_foreign_name_says_what_to_write(tmp_path: Path) -> None:
    code = "from hpo import create_study"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith(
        "ImportError: cannot import name 'create_study' from 'hpo'. Write study = hpo.open_study("
    )
    for code in ("from hpo import problem, study, trials", "from hpo.strategies import grid", "import hpo.cli"):
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_errors_keep_their_type() -> None:
    with pytest.raises(LookupError):
        PROBLEM.metric("w")
    with pytest.raises(NotFound, match=r"no metric 'w' \(have: y, z\)"):
        PROBLEM.metric("w")
    with pytest.raises(SettingsError, match=r"run\(budget=20\): give a Budget, such as hpo.Budget\(trials=20\)"):
        hpo.run(study(), train, budget=20)  # type: ignore[arg-type]

"""The tally of a state against histories that look for themselves."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import hpo
from hpo.trials.history import History
from hpo.trials.trial import TrialState

ANSWERS = ("waiting", "in_flight", "completed", "failed", "feasible", "taken", "n_started")


def alone(history: History) -> History:
    """The same trials, without what was known of them."""
    return History(history.problem, history.seed, history.trials, history.fitted)


@settings(deadline=None)
@given(st.data())
def test_it_answers_what_a_history_finds_by_itself(data: st.DataObject) -> None:
    problem = hpo.Problem(
        hpo.Space({"x": hpo.Int(0, 9)}), [hpo.Objective("y", range=(0, 5)), hpo.Constraint("c", upper=0.5)]
    )
    study = hpo.open_study("t", problem, storage=":memory:", seed=0, strategy=hpo.strategies.Random())
    value, y = st.sampled_from([0.0, 0.4, 0.6, 1.0]), st.sampled_from([1.0, 7.0])
    seen: list[tuple[History, dict[str, object]]] = []
    for _ in range(data.draw(st.integers(1, 15), "steps")):
        step = data.draw(
            st.sampled_from(["ask", "add", "enqueue", "tell", "fail", "cancel", "requeue", "edit", "accept"]), "step"
        )
        trials = study.trials
        match step:
            case "add":
                where = data.draw(st.sampled_from(["", "elsewhere"]))
                study.add({"x": data.draw(st.integers(0, 9))}, {"y": data.draw(y), "c": data.draw(value)}, data=where)
            case "enqueue":
                study.enqueue({"x": data.draw(st.integers(0, 9))})
            case "edit":
                study.edit_metric(hpo.Constraint("c", upper=data.draw(value)), reason="why not")
            case "ask":
                if len(trials) < 10:
                    study.ask(data.draw(st.integers(1, 3)))
            case _ if trials:
                trial = data.draw(st.sampled_from(trials))
                if step == "tell" and trial.state is TrialState.COMPLETED:
                    study.tell(trial, {"y": 2.0, "c": data.draw(value)}, replace=True, reason="measured again")
                elif step == "tell":
                    study.tell(trial, {"y": data.draw(y), "c": data.draw(value)})
                elif step == "accept" and trial.state is TrialState.COMPLETED:
                    study.accept(trial, reason="checked")
                elif trial.state is TrialState.RUNNING and step != "accept":
                    getattr(study, step)(trial)
        history = study.history
        assert history.taken == set(alone(history).taken)
        assert {name: getattr(history, name) for name in ANSWERS} == {n: getattr(alone(history), n) for n in ANSWERS}
        seen.append((history, {name: getattr(alone(history), name) for name in ANSWERS}))
    for history, answers in seen:  # what came later has changed no earlier history
        assert {name: getattr(history, name) for name in ANSWERS} == answers
        assert set(history.taken) == answers["taken"]
        assert len(history.taken) == len(set(history.taken))

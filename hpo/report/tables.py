"""What a report says, as rows of plain text and numbers: no figures, no markup."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hpo.errors import listing
from hpo.problem.metrics import Constraint, Metric, Objective, Tracked, limit_words, shortfall
from hpo.study.provenance import code_words, differences
from hpo.study.study import Study
from hpo.trials.formatting import aside_words, duration, goal_words, measured, misses, short, with_unit
from hpo.trials.history import History, oriented
from hpo.trials.trial import Trial, TrialState

MAX_CELLS = 8000
"""Cells of the trials table; a larger one makes the file heavy, and nobody reads it."""


@dataclass(frozen=True)
class TrialRow:
    """One trial of the trials table."""

    number: int
    state: str
    """feasible, infeasible, set aside, failed, cancelled, running or waiting."""
    cells: tuple[str, ...]
    note: str
    """What it broke, what else to know of its result, or why it failed."""


def chosen(history: History) -> Trial | None:
    """The trial a report shows first: the best one, or the closest while nothing is feasible. None before any result, and
    where several objectives have a front: then no trial is the best."""
    if not history.completed:
        return None
    if not history.has_best:
        return history.closest()
    return history.best if len(history.problem.objectives) <= 1 else None


def front_rows(history: History, most: int = 100) -> list[list[str]]:
    """The Pareto front, the best in the first objective first, at most `most` of it: number, metrics, params; under
    `front_header`."""
    problem, first = history.problem, history.problem.objectives[0]
    return [
        [
            f"#{t.number}",
            *(measured(m, t.values.get(m.name)) for m in problem.metrics),
            *(short(t.params[name]) if name in t.params else "-" for name in problem.space.names),
        ]
        for t in sorted(history.pareto_front, key=lambda t: -oriented(first, t))[:most]
    ]


def front_header(history: History) -> list[str]:
    """Headings of `front_rows`."""
    return ["trial", *(m.name for m in history.problem.metrics), *history.problem.space.names]


def best_so_far(history: History) -> tuple[float | None, ...]:
    """The best feasible value of the one objective after each trial that ended in a result or a failure, in order of
    number; None while nothing was feasible."""
    objective = history.problem.objectives[0]
    feasible = {trial.number for trial in history.feasible}
    out: list[float | None] = []
    best: float | None = None
    for trial in history.trials:
        if trial.state not in (TrialState.COMPLETED, TrialState.FAILED):
            continue
        if trial.number in feasible and (best is None or oriented(objective, trial) > best):
            best = oriented(objective, trial)
        out.append(best if best is None else objective.sign * best)
    return tuple(out)


def metric_rows(history: History) -> list[list[str]]:
    """Name, role, goal and limits, unit, description, owner."""
    return [
        [m.name, _role(m), goal_words(m) or "-", m.unit or "-", m.description or "-", m.owner or "-"]
        for m in history.problem.metrics
    ]


def parameter_rows(history: History) -> list[list[str]]:
    """Name, values, scale, when it is active, description."""
    rows = []
    for name, p in history.problem.space.parameters.items():
        values = ", ".join(map(short, p.choices)) if hasattr(p, "choices") else f"{short(p.low)} .. {short(p.high)}"
        if getattr(p, "step", None) not in (None, 1):
            values += f" by {short(p.step)}"  # type: ignore[union-attr]
        scale = "log" if getattr(p, "log", False) else "ordered" if getattr(p, "ordered", False) else ""
        active = " and ".join(f"{k} in {', '.join(map(short, v))}" for k, v in p.active_if.items())
        rows.append([name, f"{values} {p.unit}".rstrip(), scale or "-", active or "always", p.description or "-"])
    return rows


def limit_rows(history: History) -> list[list[str]]:
    """For each limited metric: name, limit, how many results miss it, the nearest any came, and the chosen trial's."""
    n, counts, trial = len(history.completed), history.misses(), chosen(history)
    rows = []
    for m in history.problem.limited:
        values = [t.values[m.name].value for t in history.completed]
        nearest = min(values, key=lambda v: shortfall(m, v), default=None)
        if counts[m.name] == n and nearest is not None:
            nearest_words = f"none met it; nearest {with_unit(m, nearest)}"
        else:
            nearest_words = f"{n - counts[m.name]} met it" if n else "-"
        here = measured(m, trial.values.get(m.name)) if trial else "-"
        rows.append([m.name, limit_words(m), f"{counts[m.name]}/{n}", nearest_words, here])
    return rows


def margin_rows(history: History, trial: Trial, chances: Mapping[str, float]) -> list[list[str]]:
    """For each limited metric: by how much `trial` meets its limit, or misses it, and how sure that is by the model."""
    rows = []
    for m in history.problem.limited:
        chance = _percent(chances[m.name]) if m.name in chances else "-"
        rows.append([_margin(m, trial.values[m.name].value), chance])
    return rows


def _percent(chance: float) -> str:
    """Never 0 % or 100 %: no model is that sure."""
    return "below 1 %" if chance < 0.01 else "above 99 %" if chance > 0.99 else f"{100 * chance:.0f} %"


def _margin(metric: Metric, value: float) -> str:
    if (by := shortfall(metric, value)) > 0:
        return f"misses by {with_unit(metric, by)}"
    room, limit = min((abs(value - limit), limit) for limit in metric.limits if limit is not None)
    share = f" ({short(100 * room / abs(limit))} %)" if limit and room else ""
    return f"{with_unit(metric, room)}{share}" if room else "none: on its limit"


def failure_rows(history: History, most: int = 50) -> list[list[str]]:
    """What failed and why, equal reasons together, the most frequent first: kind, how many, trials, message."""
    groups: dict[tuple[str, str], list[int]] = {}
    for t in history.failed:
        groups.setdefault((str(t.kind), t.message), []).append(t.number)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [
        [kind, str(len(numbers)), listing(f"#{n}" for n in numbers), message or "-"]
        for (kind, message), numbers in ordered[:most]
    ]


def used_rows(history: History) -> list[list[str]]:
    """What the study has spent: trials by how they ended, evaluation time with that of lost attempts, time on the clock."""
    states = [t.state for t in history.trials]
    ends = [f"{states.count(s)} {s}" for s in TrialState if s in states]
    kinds = [t.kind for t in history.failed]
    rows = [
        ["trials", f"{len(states)} ({', '.join(ends)})" if states else "0"],
        ["feasible", f"{len(history.feasible)} of {len(history.completed)} with a result"],
    ]
    if history.set_aside:
        rows.append(["set aside", aside_words(history)])
    if kinds:
        rows.append(["failures", ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))])
    if spent := [
        t.earlier_seconds + (t.seconds or 0.0) for t in history.trials if t.earlier_seconds or t.seconds is not None
    ]:
        rows.append(["evaluation time", f"{duration(sum(spent))}, {duration(sum(spent) / len(spent))} a trial"])
    asked = [t.asked_at for t in history.trials if t.asked_at]
    ended = [t.ended_at for t in history.trials if t.ended_at]
    if asked and ended:
        span = datetime.fromisoformat(max(ended)) - datetime.fromisoformat(min(asked))
        rows.append(["first to last trial", duration(max(span.total_seconds(), 0.0))])
    return rows


def trial_header(history: History) -> list[str]:
    """Headings of the cells of `trial_rows`."""
    return [*(m.name for m in history.problem.metrics), *history.problem.space.names, "seconds"]


def trial_rows(history: History, most: int = MAX_CELLS) -> list[TrialRow]:
    """The trials in order of number; where that would be more than `most` cells, the best of them and the latest. Params
    in the user's order, after the metrics."""
    feasible = {t.number for t in history.feasible}
    n = max(most // len(trial_header(history)), 1)
    trials: Sequence[Trial] = history.trials
    if len(trials) > n:
        latest = {t.number for t in trials[-(n - n // 2) :]}
        best = [t.number for t in _from_the_best(history) if t.number not in latest][: n - len(latest)]
        trials = [t for t in trials if t.number in latest or t.number in best]
    return [_trial_row(history, t, t.number in feasible) for t in trials]


def _from_the_best(history: History) -> list[Trial]:
    """All trials: the front, or what is feasible, the best first; then the rest, the latest first."""
    front, objectives = {t.number for t in history.pareto_front}, history.problem.objectives
    feasible = {t.number for t in history.feasible}

    def rank(t: Trial) -> tuple[bool, bool, float, int]:
        value = oriented(objectives[0], t) if objectives and t.number in feasible else 0.0
        is_on_front = len(objectives) > 1 and t.number in front
        return not is_on_front, t.number not in feasible, -value, -t.number

    return sorted(history.trials, key=rank)


def why_rows(history: History, trial: Trial) -> list[list[str]]:
    """Why the trial was suggested: role, how, what was predicted against what came, probabilities of the limits."""
    why = trial.why
    rows = [["role", f"{why.get('role', trial.source)}" + (f": {why['how']}" if why.get("how") else "")]]
    for m in history.problem.metrics:
        if m.name in why.get("predicted", {}):
            mean, sd = why["predicted"][m.name]
            got = measured(m, trial.values.get(m.name))
            text = f"predicted {short(mean)} ± {with_unit(m, sd)}, measured {got}"
            if m.name in why.get("p_meets", {}):
                text += f"; {_percent(why['p_meets'][m.name])} sure to meet its limit"
            rows.append([m.name, text])
    if "n_seen" in why:
        flight = f", {why['n_in_flight']} in flight" if why.get("n_in_flight") else ""
        rows.append(["known then", f"{why['n_seen']} results{flight}"])
    if "nearest" in why:
        rows.append(["nearest tried", f"#{why['nearest']}"])
    return rows


def fact_rows(study: Study) -> list[list[str]]:
    """Who made the study, when, with which code, strategy, seed and versions."""
    facts = study.facts
    strategy, copied = dict(facts.get("strategy", {})), facts.get("copied")
    settings = ", ".join(f"{k}={v}" for k, v in strategy.items() if k != "name")
    return [
        ["author", facts.get("author") or "-"],
        ["created", facts.get("created_at", "-")],
        *([["copied from", f"{copied.get('from')}, at its event {copied.get('events')}"]] if copied else []),
        ["code version", code_words(facts.get("code"))],
        ["command line", shlex.join(facts.get("argv", [])) or "-"],
        ["strategy", f"{strategy.get('name', '-')}({settings})"],
        ["seed", str(study.seed)],
        ["definition", study.problem.hash],
        ["data", facts.get("data") or "-"],
        ["machine", _machine_words(facts)],
        ["python", f"{facts.get('python', '-')} on {facts.get('platform', '-')}"],
        ["versions", ", ".join(f"{k} {v}" for k, v in facts.get("versions", {}).items()) or "-"],
    ]


def driver_rows(study: Study) -> list[list[str]]:
    """The runs of the study: when each began, by whom, on what, and in what it differs from the study's creation."""
    rows = []
    for event in study.events():
        if event.kind == "joined":
            facts = event.data.get("facts", {})
            changed = "; ".join(differences(study.facts, facts)) or "-"
            rows.append([event.at[:19], facts.get("author", "-"), _machine_words(facts), changed])
    return rows


def _machine_words(facts: Mapping[str, Any]) -> str:
    machine = facts.get("machine")
    if not machine:
        return "-"
    image = f", image {facts['image']}" if facts.get("image") else ""
    return f"{machine.get('processor')}, {machine.get('cores')} cores, {machine.get('memory_gib')} GiB{image}"


def edit_rows(study: Study) -> list[list[str]]:
    """What a reader must know of: edited limits, corrected and accepted results, with their reasons; and notes."""
    rows = []
    for event in study.events():
        reason = event.data.get("reason") or "-"
        if event.kind == "edited":
            rows.append([event.at[:19], f"metric {event.data['metric']['name']} edited", reason])
        elif event.kind in ("corrected", "accepted"):
            rows.append([event.at[:19], f"result of trial {event.number} {event.kind}", reason])
        elif event.kind == "noted":
            rows.append([event.at[:19], "note", event.data.get("text", "-")])
    return rows


def as_python(trial: Trial) -> str:
    """The params as a Python dict to paste, exact."""
    return "{\n" + "".join(f"    {name!r}: {value!r},\n" for name, value in trial.params.items()) + "}"


def as_toml(trial: Trial) -> str:
    """The params as TOML to paste, exact. TOML has no null: such a parameter becomes a comment."""
    lines = []
    for name, value in trial.params.items():
        quoted = json.dumps(name, ensure_ascii=False)
        lines.append(f"# {quoted} is None" if value is None else f"{quoted} = {_toml(value)}")
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _trial_row(history: History, t: Trial, is_feasible: bool) -> TrialRow:
    problem = history.problem
    params = [short(t.params[name]) if name in t.params else "-" for name in problem.space.names]
    values = [short(t.values[m.name].value) if m.name in t.values else "-" for m in problem.metrics]
    seconds = "-" if t.seconds is None else f"{t.seconds:.3g}"
    state, note = str(t.state), t.message
    if t.state is TrialState.COMPLETED:
        state = "set aside" if t.set_aside else "feasible" if is_feasible else "infeasible"
        note = "; ".join([*misses(tuple(problem.metrics), t), *t.notes])
    elif t.state is TrialState.FAILED:
        note = f"{t.kind}: {t.message}" if t.message else str(t.kind)
    return TrialRow(t.number, state, (*values, *params, seconds), note)


def _role(metric: Metric) -> str:
    if isinstance(metric, Tracked):
        return "tracked, business" if metric.business else "tracked"
    return {Objective: "objective", Constraint: "constraint"}[type(metric)]

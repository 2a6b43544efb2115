"""Numbers, params and misses as people read them: four significant digits, units, what a trial broke."""

from __future__ import annotations

from datetime import UTC, datetime

from hpo.common.text import counted
from hpo.problem.measurement import Measurement
from hpo.problem.metrics import Metric, limit_words, shortfall
from hpo.trials.history import History
from hpo.trials.trial import Trial

DIGITS = 4


def short(value: object) -> str:
    """A number with four significant digits and no zeros at the end; anything else as text."""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return value if isinstance(value, str) else repr(value)


def with_unit(metric: Metric, value: float) -> str:
    """`3.1 ms`."""
    return f"{short(value)} {metric.unit}".rstrip()


def measured(metric: Metric, told: Measurement | None) -> str:
    """`3.1 ± 0.2 ms`, or a dash for what was not told."""
    if told is None:
        return "-"
    return with_unit(metric, told.value) if not told.sem else f"{short(told.value)} ± {with_unit(metric, told.sem)}"


def miss(metric: Metric, value: float) -> str:
    """`latency_ms 18.4 > 15 ms`; the empty string when the limits are met.

    Where four digits would show value and limit alike, both get as many as tell them apart.
    """
    lower, upper = metric.limits
    if shortfall(metric, value) == 0:
        return ""
    sign, limit = ("<", lower) if lower is not None and value < lower else (">", upper)
    assert limit is not None
    digits = next((n for n in range(DIGITS, 17) if f"{value:.{n}g}" != f"{limit:.{n}g}"), 17)
    return f"{metric.name} {value:.{digits}g} {sign} {limit:.{digits}g} {metric.unit}".rstrip()


def misses(metrics: tuple[Metric, ...], trial: Trial) -> list[str]:
    """What a completed trial broke, one text for each limit."""
    return [text for m in metrics if m.name in trial.values and (text := miss(m, trial.values[m.name].value))]


def goal_words(metric: Metric) -> str:
    """`maximize, >= 0.9`: which way, and how far it must."""
    return ", ".join(filter(None, [getattr(metric, "goal", ""), limit_words(metric)]))


def best_words(history: History) -> str:
    """`best feasible accuracy 0.9772 (#18)`, the size of the Pareto front, or that there is none yet. Of feasible trials it
    speaks only where the problem has limits."""
    objectives, feasible = history.problem.objectives, "feasible " if history.problem.limited else ""
    if not history.has_best:
        if feasible and history.completed:
            return "nothing feasible yet"
        return "no result that counts yet" if history.set_aside else "no result yet"
    if len(objectives) > 1:
        return f"Pareto front of {counted(len(history.pareto_front), f'{feasible}trial')}"
    if not objectives:
        return f"feasible: #{history.best.number}"
    best, objective = history.best, objectives[0]
    value = with_unit(objective, best.values[objective.name].value)
    return f"best {feasible}{objective.name} {value} (#{best.number})"


def aside_words(history: History) -> str:
    """`#12: accuracy 93 is outside its range 0..1`, or of several results their number and the last."""
    trials = history.set_aside
    last = f"#{trials[-1].number}: {'; '.join(trials[-1].notes)}"
    return last if len(trials) == 1 else f"{len(trials)} results, the last {last}"


def duration(seconds: float) -> str:
    """`40 ms`, `0.8 s`, `42 s`, `6 min`, `2 h 5 min`."""
    if 0 < seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 1440:.1f} days"


def ago(at: str, now: datetime | None = None) -> str:
    """`2 h 5 min ago` for an ISO time; the empty string for none."""
    if not at:
        return ""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(at)).total_seconds()
    return f"{duration(max(seconds, 0.0))} ago"

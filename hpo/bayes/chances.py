"""How sure it is that a measured trial meets its limits: a measurement is noisy, and the model knows by how much."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpo.bayes.acquisition.log_ei import Acquisition
from hpo.bayes.blas_threads import single_threaded
from hpo.bayes.data import training_data
from hpo.bayes.models import fit_models
from hpo.problem.encoding import Encoder
from hpo.trials.history import History
from hpo.trials.trial import Trial

LEAST = 6
"""Results below which a model says nothing worth printing."""
MOST = 300
"""Results above which a fit takes longer than whoever reads a report would wait."""


def chances(history: History, trial: Trial) -> Mapping[str, float]:
    """For each limited metric the probability, in [0, 1], that the configuration of `trial` meets its limits when noise
    is set aside. Empty with fewer than LEAST or more than MOST results, or where no model can be fitted to them."""
    if not history.problem.limited or not LEAST <= len(history.completed) <= MOST:
        return {}
    encoder = Encoder(history.problem.space)
    try:
        with single_threaded(), np.errstate(all="ignore"):
            models = fit_models(training_data(history, encoder), history.fitted)
            X = encoder.encode([trial.params])
            found = {
                model.series.metric.name: float(np.exp(Acquisition([(model.gp, model.limit)]).value(X)[0]))
                for model in models.by_metric
                if model.limit
            }
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):
        return {}
    return {name: chance for name, chance in found.items() if np.isfinite(chance)}

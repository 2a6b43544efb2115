"""Which trial to deploy, when measurements are noisy: by the models, not by the luckiest number."""

from __future__ import annotations

import numpy as np

from hpo.bayes.acquisition.pending import probable
from hpo.bayes.blas_threads import single_threaded
from hpo.bayes.data import training_data
from hpo.bayes.models import fit_models
from hpo.problem.encoding import Encoder
from hpo.trials.history import History
from hpo.trials.trial import Trial


def recommended(history: History) -> Trial:
    """The completed trial with the best posterior mean of the objective among those that more probably than not meet
    every limit; among those that met them as measured where no trial does by the models.

    `history` holds a feasible trial and has one objective.
    """
    data = training_data(history, Encoder(history.problem.space))
    with single_threaded():
        models = fit_models(data, history.fitted)
        meets = probable([(m.gp, limit) for m in models.by_metric if (limit := m.limit)], data.X)
        meets &= np.array([not t.set_aside for t in data.history.completed], dtype=bool)
        rows = np.flatnonzero(meets if meets.any() else data.feasible)
        mean = models.objectives[0].gp.posterior_mean(data.X[rows])
    return data.history.completed[int(rows[np.argmax(mean)])]

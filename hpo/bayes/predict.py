"""The posterior means as a stand-in for the objective, for `hpo.simulate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.bayes.blas_threads import single_threaded
from hpo.bayes.data import training_data
from hpo.bayes.models import Models, fit_models
from hpo.errors import TrialFailed
from hpo.problem.encoding import Encoder
from hpo.trials.history import History
from hpo.trials.trial import LEARNED_KINDS


@dataclass(frozen=True, eq=False)
class PosteriorMeanObjective:
    """The posterior mean of every objective and constraint, in its own unit and without noise."""

    encoder: Encoder
    models: Models
    kind: str
    """The failure kind of trials that more probably fail than not."""

    @classmethod
    def of(cls, history: History) -> PosteriorMeanObjective:
        """Fit the models to a history with completed trials."""
        encoder = Encoder(history.problem.space)
        with single_threaded():
            models = fit_models(training_data(history, encoder), history.fitted)
        kinds = Counter(t.kind for t in history.failed if t.kind in LEARNED_KINDS)
        return cls(encoder, models, str(kinds.most_common(1)[0][0]) if kinds else "error")

    def at(self, params: Mapping[str, Any]) -> dict[str, float]:
        """Value by metric; tracked metrics are not modeled. Raises TrialFailed where a failure is more likely."""
        X = self.encoder.encode([params])
        with single_threaded():
            success = self.models.p_success(X)
            if success is not None and success[0] < 0.5:
                raise TrialFailed(self.kind, f"expected to fail: {100 * (1 - success[0]):.0f} % sure")
            return {m.series.metric.name: float(m.predict(X)[0][0]) for m in self.models.by_metric}

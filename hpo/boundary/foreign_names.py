"""Foreign names: what people bring from other libraries, or from an earlier version of this one, and what to write here.

One table for names that modules and objects of the library do not have, one for arguments that its functions do not take,
one with a call of each function as it should be. Read only when a name or a call has failed.
"""

from __future__ import annotations

from collections.abc import Mapping

Hints = Mapping[str, str]
"""What to write -> the names for which it is, with spaces between."""

_OPEN = 'Write study = hpo.open_study("name", hpo.Problem(space, [hpo.Objective("accuracy", goal="maximize")]))'
_LOAD = 'Write study = hpo.open_study("name"): without a problem the study must exist'
_NAMES = "Write hpo.storage.open_storage(where).names(), or run: hpo list"
_RUN = "Write hpo.run(study, objective, budget=hpo.Budget(trials=20))"
_DECLARE = (
    'The space is declared before the run: hpo.Space({"lr": hpo.Float(1e-5, 1e-1, log=True), "n": hpo.Int(1, 4)})'
)
_STRATEGY = (
    "A strategy is given to open_study(..., strategy=...): hpo.strategies.Bayesian() (the default), Sobol(), Random()"
)
_LIMITS = "No rule ends trials early; limit each: hpo.run(..., timeout=60, executor=hpo.executors.Processes(4))"
_VALUE = "Write study.best.value"
_REPORT = 'Write hpo.report.write_report(study, "report.html")'
_PROCESSES = "Write hpo.executors.Processes(4)"
_THREADS = "Write hpo.executors.Threads(4)"
_BAYESIAN = "Write hpo.strategies.Bayesian(), the default"

_STORAGE = 'A storage is a file or a database URL: hpo.open_study(..., storage="hpo.db")'

_STUDIES: Hints = {_OPEN: "create_study", _LOAD: "load_study", _NAMES: "get_all_study_summaries get_all_study_names"}

_LEASES: Hints = {
    f"Write study.leases.{name}": name
    for name in ("claim", "renew", "adopt", "held", "reclaim", "bill", "join", "known")
}
"""Formerly of Study itself."""

NAMES: Mapping[str, Hints] = {
    "hpo": {
        _OPEN: "create_study study Experiment Optimizer BayesianOptimization Scenario Tuner AxClient Client",
        _LOAD: "load_study",
        _NAMES: "get_all_study_summaries get_all_study_names",
        _RUN: "tune optimize fit search sweep agent",
        "Write hpo.minimize(objective, space, trials=20), or hpo.maximize": (
            "fmin gp_minimize forest_minimize gbrt_minimize dummy_minimize base_minimize differential_evolution minimise"
        ),
        "Write hpo.maximize(objective, space, trials=20)": "maximise fmax",
        "Write hpo.maximize(objective, space, trials=20), where the objective fits the model and returns its score": (
            "GridSearchCV RandomizedSearchCV BayesSearchCV OptunaSearchCV HalvingGridSearchCV cross_val_score"
        ),
        "Write hpo.Float(low, high)": (
            "Real FloatDistribution UniformDistribution UniformFloat UniformFloatHyperparameter Uniform uniform Range "
            "RangeParameter Continuous Double suggest_float suggest_uniform"
        ),
        "Write hpo.Float(low, high, log=True)": (
            "LogUniform LogUniformDistribution loguniform log_uniform suggest_loguniform reciprocal"
        ),
        "Write hpo.Float(low, high, step=0.1)": (
            "quniform qloguniform DiscreteUniformDistribution suggest_discrete_uniform"
        ),
        "Write hpo.Int(low, high)": (
            "Integer IntDistribution IntUniformDistribution UniformInteger UniformIntegerHyperparameter randint uniformint "
            "lograndint qrandint suggest_int Discrete"
        ),
        'Write hpo.Categorical(["adam", "sgd"])': (
            "Choice choice pchoice CategoricalDistribution CategoricalHyperparameter ChoiceParameter Ordinal Bool "
            "suggest_categorical grid_search"
        ),
        "A parameter has bounds: hpo.Float(low, high)": "normal lognormal qnormal Normal",
        _DECLARE: "ConfigurationSpace SearchSpace ParameterSpace hp distributions space Dimension ConfigSpace "
        "ParameterType sample_from",
        _STRATEGY: (
            "samplers TPESampler GPSampler RandomSampler GridSampler CmaEsSampler TPE tpe rand anneal algorithms Bayesian "
            "Random Grid Sobol BayesOpt HyperOptSearch"
        ),
        _LIMITS: "pruners MedianPruner HyperbandPruner schedulers ASHAScheduler",
        'For a trial that has no result: raise hpo.TrialFailed("diverged")': "TrialPruned STATUS_FAIL exceptions",
        "The objective returns its metrics alone": "STATUS_OK",
        _REPORT: "visualization plot plots plotting importance plot_convergence write_report",
        _STORAGE: "storages open_storage RDBStorage JournalStorage",
        'Metrics are hpo.Objective("accuracy"), hpo.Constraint("latency_ms", upper=5.0), hpo.Tracked("epochs")': (
            "Metric metric Goal StudyDirection"
        ),
        'Write hpo.Constraint("latency_ms", upper=5.0)': "Limit Threshold OutcomeConstraint",
        _PROCESSES: "Processes Executor Pool Parallel Workers",
        _THREADS: "Threads",
        "Trials come from study.ask(), or are what hpo.run gives to the objective": "trial",
        "A study holds them: study.trials": "Trials",
        "Write study.best.params": "space_eval",
        "A study is in its storage, and open_study opens it again: nothing is dumped": "dump load save restore",
        "A fixed value is not a parameter: set it in your code": "Constant",
        'Write logging.getLogger("hpo").setLevel(logging.INFO), with the logging of Python': "logging",
    },
    "hpo.study": {
        **_STUDIES,
        'Write hpo.Objective("accuracy", goal="maximize")': "StudyDirection",
        "Write hpo.Study": "Study",
        "Write study.leases, of a study that is open": "Leases",
    },
    "hpo.storage": {_STORAGE: "RDBStorage JournalStorage InMemoryStorage Sqlite SQLite SqliteStorage Postgres"},
    "hpo.report": {
        _REPORT: "report write save plot Report plot_optimization_history plot_param_importances plot_pareto_front"
    },
    "hpo.strategies": {
        _BAYESIAN: (
            "TPE TPESampler Tpe GP GPSampler BoTorch BoTorchSampler CmaEs CmaEsSampler CMAES BayesianOptimization Bayes BO "
            "GaussianProcess HEBO SMAC HyperOpt default"
        ),
        "Write hpo.strategies.Random()": "RandomSampler RandomSearch Uniform rand",
        "Write hpo.strategies.Grid(levels=3)": "GridSampler GridSearch BruteForceSampler",
        "Write hpo.strategies.Sobol()": "QMCSampler QMC Halton LHS LatinHypercube",
        "Write hpo.strategies.Bayesian(): it takes several objectives": "NSGAIISampler NSGAII NSGA2 MOTPE",
        _LIMITS: "Hyperband ASHA BOHB SuccessiveHalving MedianPruner",
    },
    "hpo.executors": {
        _PROCESSES: (
            "Parallel Process ProcessPool ProcessPoolExecutor Multiprocessing MultiProcessing Local LocalExecutor Workers"
        ),
        _THREADS: "Thread ThreadPool ThreadPoolExecutor",
        "Write hpo.executors.Inline(), the default": "Serial Sequential Debug Sync",
        'Write hpo.executors.Subprocess(["python", "train.py", "--lr", "{lr}"])': "Command Shell Script",
        "Write hpo.executors.Futures(make, slots=4), where make() gives a concurrent.futures.Executor": "Joblib Loky MPI",
        'Write hpo.executors.Slurm("/shared/folder", slots=16)': "SlurmExecutor AutoExecutor Submitit",
        'Write hpo.executors.Dask("tcp://host:8786")': "DaskClient Distributed",
        "Write hpo.executors.Task": "Work",
    },
    "hpo.testing": {"Write hpo.testing.clusters": "engines"},
    "Study": {
        _RUN: "optimize run tune fit search minimize maximize",
        "Write study.best": "best_trial incumbent get_best max",
        "Write study.best.params": "best_params best_config best_parameters get_best_params get_best_parameters params x",
        _VALUE: "best_value best_score value score fun",
        "Write study.best.values": "best_values values",
        "Write study.pareto_front": "best_trials pareto",
        "Write study.to_frame()": "trials_dataframe dataframe df",
        "Write study.trials, or study.to_frame()": "results get_results get_trials cv_results_ func_vals x_iters",
        "Write study.history.completed, study.history.failed, or study.history.feasible": "completed failed feasible",
        "Every step is stored before a call returns: leave it out": "save dump close",
        "Write study.events()": "log",
        "Write hpo.delete_study(study.name, storage=...)": "delete",
        "Write study.enqueue(params)": "enqueue_trial",
        "Write study.add(params, values)": "add_trial attach_trial register",
        "Write study.add(params, values) for each": "add_trials",
        "Write trial = study.ask()": "suggest suggestions get_next_trial",
        "Write study.tell(trial, values)": "report_result observe complete complete_trial",
        'A study says what it is for when it is made: hpo.open_study(..., reason="...")': "set_user_attr set_system_attr",
        "Write study.facts": "user_attrs system_attrs",
        "Write study.problem.objectives[0].goal": "direction",
        "Write [objective.goal for objective in study.problem.objectives]": "directions",
        "Write [metric.name for metric in study.problem.metrics]": "metric_names",
        "Write study.problem.metrics": "metrics",
        "Write study.problem.space": "space",
        "Write study.name": "study_name",
        "Write study.strategy": "sampler",
        "A run ends with its budget: hpo.Budget(trials=20), Budget(wall='2h'), Budget(target=0.95); or by Ctrl-C": "stop",
        _REPORT: "report plot",
        **_LEASES,
    },
    "History": {
        "Write history.best": "best_trial incumbent",
        "Write history.best.params": "best_params",
        "Write history.pareto_front": "best_trials",
        "Write history.records()": "to_frame trials_dataframe dataframe df",
    },
    "Trial": {
        f'{_DECLARE}. The objective reads its values: trial.params["lr"]': (
            "suggest_float suggest_uniform suggest_loguniform suggest_discrete_uniform suggest_int suggest_categorical "
            "suggest"
        ),
        _LIMITS: "report should_prune should_stop",
        'Return it with the metrics, and name it in the problem: hpo.Tracked("epochs")': "set_user_attr set_system_attr",
        'Return it with the metrics, limited in the problem: hpo.Constraint("latency_ms", upper=5.0)': "set_constraint",
        "Write trial.value": "score",
        "Write trial.values": "metrics user_attrs result last_result",
        "Write trial.params": "config parameters hyperparameters arguments x",
        "Write trial.number": "id trial_id tid",
        "Write trial.seconds": "duration",
        "Write trial.started_at": "datetime_start",
        "Write trial.ended_at": "datetime_complete",
        "Write trial.state": "status",
        "Write study.problem.space": "distributions",
    },
}
"""By module or class: what is not there, or no longer there."""

_SEED = "The seed belongs to the study: hpo.open_study(..., seed={})"
_GOAL = 'The goal belongs to the metric: hpo.Objective("accuracy", goal={})'
_TRIALS = "n_trials max_trials n_calls max_evals maxiter n_iter num_samples evaluations"
WORKERS = "n_jobs n_workers max_workers parallel processes jobs"
_METRICS = 'Metrics belong to the problem: hpo.Problem(space, [hpo.Objective("accuracy")])'
_NO_LOG = "Write log=True, or leave it out"
_SLOTS: Hints = {"Write slots={}": f"{WORKERS} workers n"}
_ONE_CALL: Hints = {
    "Write trials={}": f"{_TRIALS} budget",
    "Write workers={}": f"{WORKERS} slots",
    "Write seed={}": "random_state rstate rng",
    "hpo.maximize and hpo.minimize say which way": "direction goal mode",
    'Write limits={"latency_ms": "<= 5"}': "constraints constraint",
    "In steps there is more: hpo.run(study, objective, budget=hpo.Budget(wall={}))": "timeout time wall time_limit",
    "In steps there is more: hpo.open_study(..., strategy=...)": "algo algorithm sampler strategy",
    "Write name={}": "study_name",
}
_PARAMETER: Hints = {
    "Write step={}": "q",
    _NO_LOG: "prior scale distribution transform base",
    "Write log={}": "log_scale",
    "Write low={}": "min lower lo start minimum",
    "Write high={}": "max upper hi end stop maximum",
    "Write default={}": "initial value",
    'Names are given in the space: hpo.Space({"name": hpo.Float(0.0, 1.0)})': "name",
}
_ROLE: Hints = {
    "Write goal={}": "direction mode",
    'Write goal="maximize", or goal="minimize"': "maximize minimize greater_is_better lower_is_better",
    "A metric that has limits is a constraint: hpo.Constraint(name, lower=..., upper=...)": "lower upper min max",
}

KEYWORDS: Mapping[str, Hints] = {
    "run": {
        "Write budget=hpo.Budget(trials={})": f"{_TRIALS} trials",
        "Write budget=hpo.Budget(wall={})": "wall walltime walltime_limit time_limit total_time max_time",
        "Write executor=hpo.executors.Processes({})": f"{WORKERS} workers slots",
        _GOAL: "direction directions goal mode",
        _SEED: "seed random_state",
        _METRICS: "metric metrics",
        "Write progress=function: it is called after each step": "callbacks callback",
        "Write progress=True, or progress=False": "verbose verbosity",
        "A failed trial does not end a run: leave it out": "catch",
        "Leave it out": "gc_after_trial",
        "Write objective={}": "func fn",
    },
    "open_study": {
        _GOAL: "direction directions goal mode",
        "Write name={}": "study_name",
        "A study that exists is opened again: leave it out": "load_if_exists",
        "Write strategy=hpo.strategies.Bayesian(), the default": "sampler algo algorithm",
        _LIMITS: "pruner",
        "Write seed={}": "random_state",
        "Write storage={}": "path db url file",
        'The space belongs to the problem: hpo.Problem(space, [hpo.Objective("accuracy")])': "space",
        _METRICS: "metric metrics",
    },
    "maximize": _ONE_CALL,
    "minimize": _ONE_CALL,
    "Float": _PARAMETER,
    "Int": _PARAMETER,
    "Categorical": {
        "Write choices={}": "values options categories items",
        "Write ordered={}": "ordinal",
        "Choices are equal at first: leave it out": "weights probabilities p",
    },
    "Objective": {"Write threshold={}": "bound at_least", **_ROLE},
    "Tracked": _ROLE,
    "Constraint": {
        "Write upper={}": "max maximum most at_most le high",
        "Write lower={}": "min minimum least at_least ge low",
        "Write upper={}, or lower={}": "bound value limit threshold",
        "Write upper=5.0, or lower=5.0": "op operator",
    },
    "Measurement": {"Write sem={}, the standard error": "std se stderr error sd noise"},
    "Budget": {
        "Write trials={}": f"{_TRIALS} n",
        "Write wall={}": "timeout time seconds walltime time_limit max_time duration",
        'Write wall="2h", or wall="30min"': "hours minutes",
    },
    "Space": {"Write constraints={}": "parameter_constraints", _SEED: "seed"},
    "Problem": {
        'Write metrics=[hpo.Objective("accuracy"), hpo.Constraint("latency_ms", upper=5.0)]': (
            "objectives objective constraints metric"
        ),
    },
    "Study.ask": {
        "Write study.ask({})": "n_points n_trials count num batch_size q k",
        "Write max_seconds={}": "timeout seconds time_limit",
        "The space belongs to the problem: leave it out": "fixed_distributions space",
    },
    "Study.tell": {
        "Write study.tell(trial, {})": "value metrics result",
        'For a trial without a result: study.fail(trial, "crash")': "state",
        "Telling the same values again changes nothing: leave it out": "skip_if_finished",
        'Write replace=True, reason="..."': "force overwrite",
    },
    "Study.enqueue": {"Write note={}": "user_attrs reason", "Leave it out": "skip_if_exists"},
    "Study.add": {"Write values={}": "value metrics", "Write note={}": "user_attrs reason"},
    "Study.fail": {"Write message={}": "reason error", "Write kind={}": "state"},
    "simulate": {"Write trials={}": _TRIALS, "Write workers=[{}]": WORKERS},
    "Bayesian": {
        "Write n_initial={}": "n_startup_trials n_initial_points n_random_starts init_points n_init",
        _SEED: "seed random_state",
    },
    "Random": {_SEED: "seed random_state"},
    "Sobol": {_SEED: "seed random_state"},
    "Grid": {"Write levels={}": "n points", 'Write levels=3, or levels={"lr": 5}': "search_space", _SEED: "seed"},
    **dict.fromkeys(("Processes", "Threads", "Subprocess", "Slurm", "Dask", "Ray", "Futures", "Simulated"), _SLOTS),
}
"""By function: arguments that it does not take; `{}` stands for the value that was given."""

CALLS: Mapping[str, str] = {
    "Study": 'hpo.open_study("name", problem, storage="hpo.db")',
    "run": "hpo.run(study, objective, budget=hpo.Budget(trials=20))",
    "open_study": 'hpo.open_study("name", problem, storage="hpo.db")',
    "maximize": "hpo.maximize(objective, space, trials=20)",
    "minimize": "hpo.minimize(objective, space, trials=20)",
    "simulate": 'hpo.simulate(study, workers=[1, 4, 16], duration="10min")',
    "Budget": 'hpo.Budget(trials=60), or hpo.Budget(wall="2h")',
    "Float": "hpo.Float(0.0, 1.0), or hpo.Float(1e-5, 1e-1, log=True)",
    "Int": "hpo.Int(1, 8), or hpo.Int(16, 256, step=16)",
    "Categorical": 'hpo.Categorical(["adam", "sgd"])',
    "Objective": 'hpo.Objective("accuracy", goal="maximize")',
    "Constraint": 'hpo.Constraint("latency_ms", upper=5.0, unit="ms")',
    "Tracked": 'hpo.Tracked("epochs")',
    "Measurement": "hpo.Measurement(0.93, sem=0.01)",
    "Space": 'hpo.Space({"lr": hpo.Float(1e-5, 1e-1, log=True), "layers": hpo.Int(1, 4)})',
    "Problem": 'hpo.Problem(space, [hpo.Objective("accuracy"), hpo.Constraint("latency_ms", upper=5.0)])',
    "Study.ask": "study.ask(), or study.ask(8)",
    "Study.tell": 'study.tell(trial, {"accuracy": 0.93})',
    "Study.fail": 'study.fail(trial, "oom")',
    "Study.add": 'study.add({"lr": 0.01}, {"accuracy": 0.93})',
    "Study.enqueue": 'study.enqueue({"lr": 0.01})',
    "Study.edit_metric": 'study.edit_metric(hpo.Constraint("latency_ms", upper=8.0), reason="...")',
    "Space.sample": "space.sample(numpy.random.default_rng(0), 5)",
    "Processes": "hpo.executors.Processes(4)",
    "Threads": "hpo.executors.Threads(4)",
    "Subprocess": 'hpo.executors.Subprocess(["python", "train.py", "--lr", "{lr}"])',
    "Slurm": 'hpo.executors.Slurm("/shared/folder", slots=16)',
    "Futures": "hpo.executors.Futures(make, slots=4)",
    "Grid": "hpo.strategies.Grid(levels=3)",
    "write_report": 'hpo.report.write_report(study, "report.html")',
}
"""By function: how it is called."""


def hint(table: Mapping[str, Hints], owner: str, name: str) -> str:
    """What to write for `name`, which `owner` does not have; the empty string for unknown names."""
    return next((text for text, names in table.get(owner, {}).items() if name in names.split()), "")

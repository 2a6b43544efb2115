from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hpo
from hpo.cli.study_file import _KEYS, StudyFile, in_bytes, read_study_file
from hpo.errors import HpoError, SettingsError
from hpo.problem.parameters import Categorical, Float
from hpo.running.budget import Budget
from hpo.strategies import Sobol


def edited(folder: Path, old: str, new: str) -> Path:
    path = folder / "study.toml"
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} must mark one place"
    path.write_text(text.replace(old, new))
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_study_file(path)
    return [fault.removeprefix(f"{path}: ") for fault in caught.value.problems]


def test_a_file_says_all_of_a_study(folder: Path) -> None:
    path = edited(folder, "seed = 7", 'seed = 7\nstrategy = {name = "sobol"}\nauthor = "ada"\nstorage = "a.db"')
    path = edited(folder, "[run]", '[run]\nworkers = 2\ntimeout = "10min"\nmemory = "2GB"\nlogs = "logs"')
    given = read_study_file(path)
    assert given.problem.space.names == ("model.opt", "model.lr", "model.momentum")
    assert given.problem.space["model.opt"] == Categorical(["sgd", "adam"])
    assert given.problem.space["model.momentum"] == Float(0, 1, active_if={"model.opt": ["sgd"]})
    assert (given.name, given.seed, given.author, given.storage) == ("digits", 7, "ada", "a.db")
    assert (given.workers, given.timeout, given.memory, given.logs) == (2, 600.0, 2 * 10**9, "logs")
    assert given.budget == Budget(trials=5)
    assert given.strategy == Sobol()
    assert given.command == [sys.executable, "train.py", "{model.lr}", ["--momentum", "{model.momentum}"]]


def test_every_key_is_read() -> None:
    read = {field.name for field in dataclasses.fields(StudyFile)}
    assert not {*_KEYS["study"], *_KEYS["run"]} - read, "StudyFile has no field of that name"


def test_a_goal_is_asked_for_and_a_range_is_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "study.toml").read_text()
    head, tail = text.split('name = "accuracy"\n', 1)
    path = folder / "study.toml"
    path.write_text(f'{head}name = "val_loss"\nrange = [0, inf]\n{tail}')
    assert read_study_file(path).problem.metric("val_loss").range == (0.0, None)
    assert capsys.readouterr().err == (
        f"{path}: objective 'val_loss' is maximized, as no goal is given, and by its name less is better. Write "
        'goal="minimize", or goal="maximize" if more is meant\n'
    )
    path.write_text(f'{head}name = "val_loss"\ngoal = "maximize"\nrange = [1, 0]\n{tail}')
    said = faults(path)
    assert said == [
        "metrics.val_loss: metric 'val_loss': range=[1, 0] is no pair of numbers, the lowest and the highest value that "
        "can be: range=(0, 1), or (0, None) without an upper end"
    ]
    assert capsys.readouterr().err == ""


def test_dotted_tables_mean_dotted_names(folder: Path) -> None:
    quoted = read_study_file(folder / "study.toml").problem
    edited(folder, '[space."model.lr"]', "[space.model.lr]")
    plain = edited(folder, '{"model.opt" = ["sgd"]}', '{model.opt = ["sgd"]}')
    assert not quoted.differences(read_study_file(plain).problem)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "seed = 7",
            "sead = 7",
            "study.sead: no such key (have: name, storage, seed, strategy, author, reason, data). Did you mean 'seed'?",
        ),
        (
            "[budget]",
            "[bugdet]",
            "bugdet: no such key (have: constraints, study, space, metrics, budget, run). Did you mean 'budget'?",
        ),
        ('name = "digits"', "", "study.name: needed: text"),
        ("seed = 7", 'seed = "x"', "study.seed: expected a whole number, got 'x'"),
        ("seed = 7", "seed = true", "study.seed: expected a whole number, got True"),
        (
            "seed = 7",
            'strategy = "baysian"',
            "study.strategy: 'baysian' is not known (have: bayesian, grid, one_at_a_time, random, "
            "sobol). Did you mean 'bayesian'?",
        ),
        ("log = true", 'log = "yes"', "space.model.lr.log: expected true or false, got 'yes'"),
        (
            "log = true",
            "logs = true",
            "space.model.lr.logs: no such key for type 'float' (have: low, high, log, step, default, "
            "active_if, unit, description). Did you mean 'log'?",
        ),
        ("low = 1e-4", "low = 0", "space.model.lr: log scale needs low > 0, got low=0. Try low=1e-6, or log=False"),
        ("low = 1e-4\n", "", "space.model.lr: type 'float' needs 'low'"),
        (
            'type = "categorical"',
            'type = "categoricl"',
            "space.model.opt.type: 'categoricl' is not one of 'float', 'int', 'categorical'. Did "
            "you mean 'categorical'?",
        ),
        (
            '{"model.opt" = ["sgd"]}',
            "3",
            'space.model.momentum.active_if: expected a table, {"model.optimizer" = ["sgd"]}, got 3',
        ),
        (
            "log = true",
            'log = true\nconstraints = ["a <= 1"]',
            "space.model.lr.constraints: constraints stand at the head of the file, before the first [table]",
        ),
        (
            "upper = 15",
            'upper = "15ms"',
            "metrics.latency_ms: metric 'latency_ms': upper='15ms' is not a finite number. Limits "
            'are numbers in the metric\'s unit: upper=5, unit="ms"',
        ),
        (
            'role = "constraint"',
            'role = "limit"',
            "metrics.latency_ms.role: 'limit' is not one of 'objective', 'constraint', 'tracked'.",
        ),
        ('name = "latency_ms"\n', "", "metrics[1]: role 'constraint' needs 'name'"),
        ('name = "latency_ms"', 'name = "accuracy"', "metric 'accuracy' is defined twice"),
        (
            "trials = 5",
            "trails = 5",
            "budget.trails: no such key (have: trials, wall, overtime, worker_seconds, trial_seconds, cost, reserve, "
            "cost_of, and 1 more). Did you mean 'trials'?",
        ),
        ("trials = 5", "trials = 0", "budget.trials: 0 is not a whole number of at least 1"),
        (
            "trials = 5",
            'wall = "2 hours"',
            "budget.wall: '2 hours' is no length of time; write seconds, or text like \"90s\", "
            '"30min", "2h", "1h30min"',
        ),
        ("trials = 5", 'target = "high"', "budget.target: expected a number, got 'high'"),
        (
            "trials = 5",
            'cost = 9\nreserve = 1\ncost_of = "eur"',
            "budget: no metric 'eur' (have: accuracy, latency_ms).",
        ),
        (
            '"{model.lr}"',
            '"{model.rl}"',
            "run.command: no parameter for {model.rl} (have: model.opt, model.lr, "
            "model.momentum). Did you mean 'model.lr'?",
        ),
        (
            "[run]",
            '[run]\nmemory = "2 apples"',
            'run.memory: \'2 apples\' is no amount of memory; write bytes, or text like "500MB", "2GB", "1.5GiB"',
        ),
        ("[run]", "[run]\nworkers = 0", "run.workers: expected a whole number of at least 1, got 0"),
    ],
)
def test_one_fault_is_named_with_its_key(folder: Path, old: str, new: str, said: str) -> None:
    found = faults(edited(folder, old, new))
    assert said == "\n".join(found).rstrip()


def test_an_option_of_a_conditional_parameter_must_be_a_group(folder: Path) -> None:
    path = edited(folder, '["--momentum", "{model.momentum}"]', '"--momentum={model.momentum}"')
    assert faults(path) == [
        "run.command: '--momentum={model.momentum}' is not always there, because model.momentum has a condition. Put the "
        'argument and its option in a list of their own, ["--option", "{model.momentum}"], which is left out when the '
        "parameter is absent"
    ]


def test_a_command_as_text_is_shown_as_a_list(folder: Path) -> None:
    text = (folder / "study.toml").read_text().splitlines()
    path = folder / "other.toml"
    path.write_text("\n".join('command = "python train.py"' if x.startswith("command") else x for x in text))
    assert faults(path) == [
        "run.command: the command must be a list of arguments, got the text 'python train.py'; as a list: "
        "['python', 'train.py']"
    ]


def test_all_faults_come_at_once(folder: Path) -> None:
    edited(folder, "seed = 7", 'seed = "x"')
    edited(folder, "low = 1e-4", "low = 1")
    edited(folder, "upper = 15", "uper = 15")
    path = edited(folder, "trials = 5", "trials = -5")
    found = faults(path)
    assert [fault.split(":")[0] for fault in found] == [
        "space.model.lr",
        "metrics.latency_ms.uper",
        "budget.trials",
        "study.seed",
    ]


def test_an_empty_file_says_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    assert faults(path) == [
        "study: the file needs a [study] table",
        "run: the file needs a [run] table",
        "space: the file needs a [space] table",
        'metrics: expected at least one [[metrics]] table, like role = "objective"',
    ]


def test_constraints_are_checked_with_the_space(folder: Path) -> None:
    path = edited(folder, "[study]", 'constraints = ["model.lr + model.rate <= 1"]\n[study]')
    assert any(fault.startswith("space: ") and "model.rate" in fault for fault in faults(path))


def test_what_is_no_toml_says_where(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[study\n")
    (fault,) = faults(path)
    assert fault.startswith("not a TOML file: ")
    assert "line 1" in fault
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read: No such file or directory"):
        read_study_file(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("given", "expected"),
    [(1000, 1000), ("1000", 1000), ("5KB", 5000), ("1.5 GiB", 1610612736), ("2g", None), ("0", None), (True, None)],
)
def test_amounts_of_memory(given: object, expected: int | None) -> None:
    if expected is not None:
        assert in_bytes(given) == expected
    else:
        with pytest.raises(SettingsError, match="is no amount of memory"):
            in_bytes(given)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            '{ type = "slrum" }',
            "run.executor: type 'slrum' is not one of local, dask, ray, slurm. Did you mean 'slurm'?",
        ),
        (
            '{ type = "dask", adress = 1 }',
            "run.executor: adress: no such key of dask (have: grace, env, cluster, scale,",
        ),
        ('{ type = "slurm", folder = "/tmp", grace = -1 }', "run.executor: Slurm: grace is seconds, 0 or more, got -1"),
        ('{ type = "slurm" }', "run.executor: folder: slurm needs it, text; add folder = ..."),
        ('{ type = "slurm", folder = 5 }', "run.executor: folder: expected text, got 5"),
        ('{ type = "slurm", folder = "/tmp", options = [1] }', "options: expected a list of text, got [1]"),
        ('{ type = "slurm", folder = "/tmp", gpus = true }', "gpus: expected a whole number, got True"),
        ('{ type = "local", grace = "5s" }', "run.executor: grace: expected a number, got '5s'"),
        ("{ env = { OMP_NUM_THREADS = 1 } }", "env: expected a table of text, got {'OMP_NUM_THREADS': 1}"),
        ('{ type = "dask", scale = 5 }', "scale: expected a list of two whole numbers, got 5"),
        ('{ type = "dask", scale = [1] }', "run.executor: dask: scale cannot be: not enough values to unpack"),
        ('{ type = "ray", reuse = 1 }', "reuse: expected true or false, got 1"),
        ('"slurm"', "run.executor: expected a table, like"),
    ],
)
def test_faults_of_an_executor_are_named(folder: Path, table: str, said: str) -> None:
    found = "\n".join(faults(edited(folder, "[run]", f"[run]\nexecutor = {table}")))
    assert said in found


def test_none_is_written_as_a_table(folder: Path) -> None:
    path = edited(
        folder,
        "[budget]",
        '[space.depth]\ntype = "categorical"\nchoices = [{ none = true }, 5, 10]\ndefault = { none = true }\n\n'
        '[space.width]\ntype = "float"\nlow = 0\nhigh = 1\nactive_if = { depth = [{ none = true }, 5] }\n\n[budget]',
    )
    space = read_study_file(path).problem.space
    assert space["depth"] == Categorical([None, 5, 10], default=None)
    assert space["width"].active_if == {"depth": (None, 5)}
    assert space.start()["depth"] is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 7", "strategy = 1", 'study.strategy: expected a name, like "bayesian", or a table with a name and'),
        ("seed = 7", 'data = "\\u0000"', "study.data: '\\x00' cannot be read: embedded null byte"),
        ("trials = 5", f"trials = 5\ntarget = {10**400}", "is not a finite number"),
        ("trials = 5", f"trials = 5\nwall = {10**400}", "is no length of time"),
        ("trials = 5", f'trials = 5\nwall = "{10**400}h"', "is longer than a clock can tell"),
        ("low = 0", "low = 0\nstep = 1e-320", "space.model.momentum: step=9.99989e-321 is too small"),
        ("low = 0", f"low = 0\nstep = {10**400}", "space.model.momentum: step=(a whole number of 401 digits) is not a"),
        ("[run]", f"[run]\nlogs = {'[' * 3000}{']' * 3000}", "tables and lists are nested more than 50 deep"),
        ("[run]", f"[run]\nlogs = {'[' * 100}{']' * 100}", "tables and lists are nested more than 50 deep"),
        ("[run]", f"[run]\n{'a.' * 3000}b = 1", "tables and lists are nested more than 50 deep"),
    ],
)
def test_values_that_nothing_can_be_made_of_are_faults(folder: Path, old: str, new: str, said: str) -> None:
    (fault,) = faults(edited(folder, old, new))
    assert said in fault


_VALUES = [
    *(
        "true",
        "0",
        "-1",
        "3",
        "1e308",
        "-1e308",
        "1e-320",
        "inf",
        "nan",
        "1" + "0" * 400,
        '""',
        '"a"',
        '"x"',
        '"10min"',
    ),
    *('"-5min"', '"2GB"', "[]", '["a"]', "[1, 2]", "[[]]", "{}", "{ a = 1 }", "{ none = true }", '{ name = "random" }'),
    *(
        '{ type = "slurm" }',
        '{ type = "local" }',
        "1979-05-27T07:32:00Z",
        "07:32:00",
        '"\\u0000"',
        '"\\u202e"',
        '"a\\nb"',
    ),
    *(
        '["python", "{x}"]',
        '"os:system"',
        '"float"',
        '"int"',
        '"categorical"',
        '"objective"',
        '"constraint"',
        "[true, 1]",
    ),
    *(
        "[nan, nan]",
        "{ x = [1] }",
        '"/dev/null"',
        '"sqlite:///x"',
        '["x + z <= 1"]',
        '["x <= nan"]',
        '["1e400*x <= 1"]',
    ),
    *('["("]', f'["{"(" * 300}x{")" * 300} <= 1"]', '["x*z <= 1"]', '["1e300*x + 1e308*z <= 1"]', "[1e300, 1]"),
]
_SECTIONS = {
    "study": ("name", "storage", "seed", "strategy", "author", "reason", "data", "other"),
    "space.x": ("type", "low", "high", "log", "step", "default", "active_if", "unit", "choices", "ordered"),
    "space.z": ("type", "low", "high", "log", "step", "default", "active_if", "choices"),
    "budget": tuple(f.name for f in dataclasses.fields(Budget) if f.init),
    "run": (
        "command",
        "workers",
        "executor",
        "timeout",
        "memory",
        "cpus",
        "gpus",
        "devices",
        "logs",
        "lease",
        "notice",
    ),
    "metrics": ("role", "name", "goal", "threshold", "lower", "upper", "unit", "business", "owner"),
}
_GOOD = {
    "study": {"name": '"s"'},
    "space.x": {"type": '"float"', "low": "0", "high": "1"},
    "space.z": {"type": '"int"', "low": "1", "high": "9"},
    "budget": {"trials": "5"},
    "run": {"command": '["true", "{x}"]'},
    "metrics": {"role": '"objective"', "name": '"y"'},
}


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_only_our_errors_leave_the_reader(data: st.DataObject) -> None:
    """And what is accepted can be asked for, or is refused in words as well."""
    tables = {name: dict(table) for name, table in _GOOD.items()}
    for _ in range(data.draw(st.integers(1, 3))):
        section = data.draw(st.sampled_from(sorted(_SECTIONS)))
        tables[section][data.draw(st.sampled_from(_SECTIONS[section]))] = data.draw(st.sampled_from(_VALUES))
    head = f"constraints = {data.draw(st.sampled_from(_VALUES))}\n" if data.draw(st.booleans()) else ""
    parts = [f"[{name}]" if name != "metrics" else "[[metrics]]" for name in tables]
    lines = ["\n".join(f"{key} = {value}" for key, value in table.items()) for table in tables.values()]
    text = head + "\n".join(f"{part}\n{line}" for part, line in zip(parts, lines, strict=True))
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(HpoError):
        path = Path(folder) / "study.toml"
        path.write_text(text)
        file = read_study_file(path)
        study = hpo.open_study(file.name, file.problem, storage=":memory:", seed=file.seed, strategy=file.strategy)
        assert study.problem.space.contains(study.ask().params)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(deadline=None)
def test_only_our_errors_leave_the_reader_of_anything(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.toml"
        path.write_bytes(content)
        with pytest.raises(HpoError):
            read_study_file(path)

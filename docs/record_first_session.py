"""Record the first session that `tutorials/first-session.md` shows: `make session`.

A terminal and a notebook are real: a pseudo-terminal with Ctrl-C, and a Jupyter kernel with an interrupt. What stands on
the screen at a moment is copied; nothing is written by hand but the sentences between.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.terminal import Terminal, screen  # noqa: E402

PAGE = ROOT / "docs" / "tutorials" / "first-session.md"
COLUMNS = 118
BUDGET = 14

TUNE = f"""import pickle

import hpo
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import cross_val_score

X, y = load_digits(return_X_y=True)


def train(trial):
    model = ExtraTreesClassifier(**trial.params, random_state=0)
    accuracy = cross_val_score(model, X, y, cv=3).mean()
    size_kb = len(pickle.dumps(model.fit(X, y))) / 1000
    return {{"accuracy": accuracy, "size_kb": size_kb}}


space = hpo.Space({{
    "n_estimators": hpo.Int(10, 200, log=True),
    "max_depth": (2, 24),
    "min_samples_leaf": (1, 20),
}})
metrics = [hpo.Objective("accuracy"), hpo.Constraint("size_kb", upper=2000, unit="kB")]
study = hpo.open_study("digits", hpo.Problem(space, metrics), storage="digits.db", seed=7)
hpo.run(study, train, budget=hpo.Budget(trials={BUDGET}), executor=hpo.executors.Processes(2))
print(study.best)
"""
MISSPELT = TUNE.replace('{"accuracy": accuracy', '{"acuracy": accuracy')
FAILING = TUNE.replace("**trial.params", "trial.params.n_estimators")

Moment = tuple[str, str]
"""A sentence, and what stood on the screen."""


def terminal(folder: Path) -> Iterator[Moment]:
    """The session in a terminal, moment by moment."""
    (folder / "tune.py").write_text(MISSPELT)
    yield "The metric is misspelt. The run ends at the first result, and says what it may have meant:", whole(folder)
    (folder / "tune.py").write_text(FAILING)
    yield (
        "The next version has a bug of another kind. Every trial would fail, so the run stops at the first, with your line "
        "of code and without using up the budget:",
        whole(folder),
    )
    (folder / "tune.py").write_text(TUNE)
    with opened(folder, "python tune.py") as seen:
        seen.until("| 2 running |")
        yield "Now it is right. From the first second, before anything has ended:", now(seen, "python tune.py")
        seen.until("trial 6/")
        yield "Some seconds later, the same line:", now(seen, "python tune.py")
        seen.interrupt()
        code = seen.end()
        yield (
            "Ctrl-C. The trials that run may end, and count. Then the program ends as Python programs do after Ctrl-C "
            f"(exit code {code if code >= 0 else f'of signal {-code}'}):",
            now(seen, "python tune.py"),
        )
    with opened(folder, "python tune.py") as seen:
        seen.until("resuming")
        seen.until("2 running")
        first = now(seen, "python tune.py")
        seen.end()
        yield "The same command goes on where it stopped:", first
        yield "and comes to its end:", now(seen, "python tune.py")
    yield "Once more: the budget is spent, so there is nothing to do, and it says so.", whole(folder)
    with opened(folder, "hpo best --storage digits.db") as seen:
        seen.end()
        yield "The study is in a file. The command line reads it too:", now(seen, "hpo best --storage digits.db")


def opened(folder: Path, command: str) -> Terminal:
    """`command` started on a terminal."""
    program, *rest = command.split()
    return Terminal([str(Path(sys.executable).with_name(program)), *rest], folder, COLUMNS)


def whole(folder: Path) -> str:
    """What `python tune.py` shows from its beginning to its end."""
    with opened(folder, "python tune.py") as seen:
        seen.end()
        return now(seen, "python tune.py")


def now(seen: Terminal, command: str) -> str:
    """What stands on the terminal, below its command."""
    return "\n".join([f"$ {command}", *screen(seen.shown)])


def notebook(folder: Path) -> Iterator[Moment]:
    """The session in a notebook: the cell is run, looked at, interrupted and run again."""
    import nbclient
    import nbformat

    setup, _, rest = TUNE.partition("study = ")
    start = "study = " + rest.rpartition("print")[0].replace(", executor=hpo.executors.Processes(2)", "")
    cells = [setup.strip(), start.strip(), start.strip(), "study.best"]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    client = nbclient.NotebookClient(
        made, timeout=600, allow_errors=True, resources={"metadata": {"path": str(folder)}}
    )
    seen: list[str] = []
    interrupts: list[Any] = []
    heard = client.process_message

    def process(message: Any, cell: Any, index: int) -> Any:
        text = str(message["content"].get("data", {}).get("text/plain", ""))
        if index == 1 and text.startswith("trial "):
            seen.append(text)
            if text.startswith("trial 4/") and client.km is not None and not interrupts:
                interrupts.append(asyncio.ensure_future(client.km.interrupt_kernel()))
        return heard(message, cell, index)

    client.process_message = process
    client.execute()
    yield (
        "In a notebook the line stands below the cell. At first:",
        next(text for text in seen if text.startswith("trial 0/")),
    )
    yield "A little later:", next(text for text in seen if text.startswith("trial 3/"))
    yield "The kernel is interrupted (the stop button). The trial that runs may end:", output(made.cells[1])
    yield "The same cell, run again, goes on:", output(made.cells[2])
    yield "`study.best`:", output(made.cells[3])


def output(cell: Any) -> str:
    """What a cell shows in the end."""
    lines = []
    for out in cell.outputs:
        if out.output_type == "stream":
            lines.append(out.text.rstrip())
        elif out.output_type == "error":
            lines += [without_colors(row) for row in out.traceback]
        else:
            lines.append(out.data["text/plain"])
    return "\n".join(filter(None, lines))


def without_colors(text: str) -> str:
    """`text` without escape codes."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def blocks(moments: Callable[[Path], Iterator[Moment]]) -> str:
    """The moments as Markdown; the folder they were recorded in is nobody's business."""
    with tempfile.TemporaryDirectory() as folder:
        parts = [f"{sentence}\n\n```text\n{shown}\n```\n" for sentence, shown in moments(Path(folder))]
        return "\n".join(parts).replace(os.path.realpath(folder), "~/digits").replace(folder, "~/digits")


def page() -> str:
    """The page."""
    return f"""# A first session, recorded

What you see in your first minutes: a typo, a bug, the progress, Ctrl-C, going on. Everything below was recorded by a
script (`make session`), in a real terminal and a real notebook.

The program, `tune.py`, in its last version:

```py
{TUNE}```

## In a terminal

{blocks(terminal)}
## In a notebook

{blocks(notebook)}"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")

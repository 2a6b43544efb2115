"""For the whole suite: the code of the pages is run, and nothing may leave the machine.

Each Markdown page is one test. Its Python blocks run in order, in one namespace and in a temporary folder. A block of
any language below the line `<!-- file: NAME -->` is written to that file; a text block below `<!-- prints -->` is what
the last Python block must have printed (`...` stands for anything); each `$ command` of a console block below
`<!-- run -->` is run, and below `<!-- run: 3 -->` must end with that exit code. A page with `<!-- needs: NAME -->` is run
where the environment has NAME, which `.ci/run` sees to.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

# A busy machine is no failure. HPO_RANDOM in the environment: other examples each time, as `make soak` has them.
settings.register_profile("hpo", deadline=None, derandomize="HPO_RANDOM" not in os.environ)
settings.load_profile("hpo")

ROOT = Path(__file__).parent
_MARKED = re.compile(r"^<!-- (file|prints|run)(?:: (\S+))? -->\n+```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NEEDS = re.compile(r"^<!-- needs: (\w+) -->$", re.MULTILINE)


# -- pages ------------------------------------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Pages are the README and all of docs/."""
    if file_path.suffix != ".md" or "_build" in file_path.parts:
        return None
    is_page = file_path == ROOT / "README.md" or file_path.is_relative_to(ROOT / "docs")
    return Page.from_parent(parent, path=file_path) if is_page else None


class Page(pytest.File):
    """A Markdown file."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test for all blocks: they build on one another, and must not be spread over processes."""
        yield Blocks.from_parent(self, name="blocks")


class Blocks(pytest.Item):
    """The blocks of one page."""

    printed = ""
    """By the last Python block."""

    def runtest(self) -> None:
        """Run them in order in a new folder."""
        for name in _NEEDS.findall(self.path.read_text(encoding="utf-8")):
            if not os.environ.get(name):
                pytest.skip(f"{name} is not set")
        document = Sybil([PythonCodeBlockParser(), self.marked], encoding="utf-8").parse(self.path)
        document.namespace["__name__"] = "__main__"
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), importing_from(folder):
            for example in document.examples():
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    example.evaluate()
                if not isinstance(example.parsed, re.Match):
                    self.printed = out.getvalue()

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The page's name."""
        return self.path, None, str(self.path.relative_to(ROOT))

    def marked(self, document: Document) -> Iterator[Region]:
        """A parser of marked blocks."""
        for match in _MARKED.finditer(document.text):
            yield Region(match.start(), match.end(), match, self.obey)

    def obey(self, example: Example) -> None:
        """Do what the mark says."""
        mark, value, text = example.parsed[1], example.parsed[2], example.parsed[3]
        where = f"{self.path}:{example.line}"
        if mark == "file":
            assert value is not None, f"{where}: which file?"
            Path(value).write_text(text, encoding="utf-8")
        elif mark == "prints":
            same = doctest.OutputChecker().check_output(text, self.printed, doctest.ELLIPSIS)
            assert same, f"{where}: the page shows\n{text}\nbut printed was\n{self.printed}"
        else:
            for line in text.splitlines():
                if line.startswith("$ "):
                    _run(line[2:], int(value or 0), where)


@contextlib.contextmanager
def importing_from(folder: str) -> Iterator[None]:
    """Let the modules in `folder` be imported, and forget them afterwards."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "")).startswith(folder):
                del sys.modules[name]


def _run(command: str, code: int, where: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        shlex.split(command), capture_output=True, text=True, env={**os.environ, "PATH": path}, check=False
    )
    assert done.returncode == code, f"{where}: {command} ended with {done.returncode}\n{done.stdout}{done.stderr}"


# -- offline ----------------------------------------------------------------------------------------------------------


OFFLINE = str(ROOT / "tests" / "house" / "offline")


def pytest_configure() -> None:
    """Refuse connections to other machines, here and in every Python started from here."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # by a shell that started the tests in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(sys.modules.get("sitecustomize"), "refuse_the_network"):
        return  # this is a worker of pytest-xdist: its Python has started so
    sys.path.insert(0, OFFLINE)
    sys.modules.pop("sitecustomize", None)
    importlib.import_module("sitecustomize")
    sys.path.remove(OFFLINE)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [OFFLINE, os.environ.get("PYTHONPATH")]))

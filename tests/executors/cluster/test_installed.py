from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

import hpo
from hpo.executors.cluster import installed

HERE = installed.look()
WHERE = "the workers of tcp://10.0.0.1:8786"


def test_far_ends_are_asked_in_words_that_need_no_hpo() -> None:
    assert eval(installed.expression()) == HERE
    assert HERE["hpo"] == hpo.__version__
    assert HERE["python"] == "{}.{}".format(*sys.version_info)
    assert len(HERE["code"]) == 64


def test_an_absent_hpo_is_told_from_one_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {lacking!r}")

    monkeypatch.setattr(importlib, "import_module", refusing)
    found = {}
    for lacking in ("hpo", "numpy"):
        found[lacking] = installed.look()
    monkeypatch.undo()
    why = installed.misfits(found, WHERE, is_function=True)
    assert why["hpo"] == f"{WHERE} have no hpo: install the same version ({hpo.__version__}) there"
    assert "cannot import hpo (ModuleNotFoundError: No module named 'numpy'): install" in why["numpy"]


@pytest.mark.parametrize(
    ("differs", "is_function", "words"),
    [
        ({}, True, ""),
        ({"hpo": "0.0.1"}, True, f"have hpo 0.0.1, and here it is {hpo.__version__}: install the same version there"),
        ({"code": "0" * 64}, True, "with other code than here: install the same commit there"),
        ({"code": ""}, True, ""),  # in an archive: nobody knows
        ({"python": "3.99"}, True, "run Python 3.99, and here it is"),
        ({"python": "3.99"}, False, ""),  # a command goes anywhere
    ],
)
def test_what_does_not_fit(differs: dict[str, str], is_function: bool, words: str) -> None:
    why = installed.misfits({"tcp://a": {**HERE, **differs}}, WHERE, is_function=is_function)
    assert words in why.get("tcp://a", "")
    assert bool(why) == bool(words)


def test_each_kind_is_said_once_with_where_it_was_seen() -> None:
    why = {f"tcp://{i}": "they have no hpo" for i in range(5)} | {"tcp://old": "they have hpo 0.0.1"}
    assert installed.sentences(why) == (
        "they have no hpo; seen on tcp://0, tcp://1, tcp://2, and 2 more. they have hpo 0.0.1; seen on tcp://old"
    )

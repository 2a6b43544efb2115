"""Text of others cannot steer a terminal, and names are visible."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo.common.text import forbidden, shown
from hpo.errors import HpoError
from hpo.problem.json_format import problem_from_json, problem_to_json

INVISIBLE = ["\0", "\t", "\n", "\r", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066", "\u200b", "\ufeff", "\udc80"]
SPACE = hpo.Space({"x": hpo.Float(0.0, 1.0)})


def test_what_is_invisible_is_shown_as_an_escape() -> None:
    assert shown("a\x1b[2J\nb\u202ec\udc80\td") == r"a\x1b[2J\nb\u202ec\udc80\td"
    assert shown("a\r\nb\tc", lines=True) == "a\\r\nb\tc"
    assert shown("Prüfung 1e-3 µs 模型 \U0001f468\u200d\U0001f469") == "Prüfung 1e-3 µs 模型 \U0001f468\u200d\U0001f469"


@given(st.text(st.characters()))
def test_shown_text_is_one_line_without_control_characters(text: str) -> None:
    out = shown(text)
    assert not {unicodedata.category(c) for c in out} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(c) for c in out} & {
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "LRI",
        "RLI",
        "FSI",
        "PDI",
    }
    assert out.encode().decode() == shown(out) == out
    assert bool(forbidden(text)) == (out != text)


@pytest.mark.parametrize("character", INVISIBLE)
def test_names_with_invisible_characters_are_refused_at_birth(character: str) -> None:
    name = f"a{character}b"
    for make in (
        lambda: hpo.Objective(name),
        lambda: hpo.Constraint(name, upper=1.0),
        lambda: hpo.Tracked(name),
        lambda: hpo.open_study(name, hpo.Problem(SPACE, [hpo.Objective("y")]), storage=":memory:"),
    ):
        with pytest.raises(HpoError, match=r"holds '\\.*', which is not visible; use visible characters"):
            make()


def test_messages_notes_and_facts_are_stored_visible_and_without_secrets() -> None:
    problem = hpo.Problem(SPACE, [hpo.Objective("y")])
    given = "one\ntwo \x1b]0;x\x07 \udc80 postgresql://ada:S3CRET@db/hpo"
    study = hpo.open_study("s", problem, storage=":memory:", seed=1, reason=given, data=given)
    kept = "one\ntwo \\x1b]0;x\\x07 \\udc80 postgresql://ada:***@db/hpo"
    assert study.fail(study.ask(), "error", given).message == kept
    assert study.cancel(study.ask(), given).message == kept
    assert study.enqueue({"x": 0.5}, given).message == kept
    assert study.add({"x": 0.25}, {"y": 1.0}, given).message == kept
    assert (study.facts["reason"], study.facts["data"]) == (kept, kept)
    assert study.fail(study.ask(), "infra", given).message == f"infra: {kept}"
    assert hpo.open_study("s", problem, storage=study.storage, data=given).name == "s", "the same data"


def test_a_message_is_cut_after_its_secrets_are_hidden() -> None:
    study = hpo.open_study("s", hpo.Problem(SPACE, [hpo.Objective("y")]), storage=":memory:", seed=1)
    url = "postgresql://ada:S3CRET@db/hpo"
    for cut in range(len(url)):
        message = study.fail(study.ask(), "error", "x" * (1000 - cut - 1) + " " + url).message
        assert len(message) <= 1000
        assert "S3" not in message


def test_a_study_of_an_earlier_version_with_invisible_choices_and_metrics_is_read() -> None:
    problem = hpo.Problem(hpo.Space({"c": hpo.Categorical(["ab", ","])}), [hpo.Objective("ym")])
    data = json.loads(json.dumps(problem_to_json(problem)).replace("ab", r"a\u0007b").replace("ym", r"y\nm"))
    read = problem_from_json(data)
    assert read.space.parameters["c"].values() == ["a\ab", ","]
    assert read.metrics[0].name == "y\nm"
    assert problem_to_json(read) == data
    with pytest.raises(HpoError, match="not visible"):
        hpo.Categorical(["a\ab", ","])

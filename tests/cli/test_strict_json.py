from __future__ import annotations

import json
import math

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hpo.cli.strict_json import json_option, json_text


def test_json_has_no_infinite_numbers() -> None:
    assert json.loads(json_text({"a": [float("nan"), (float("-inf"), 1.5)], 1: {"b": "\ud800"}})) == {
        "a": [None, [None, 1.5]],
        "1": {"b": "\ud800"},
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(VALUES)
def test_what_json_has_comes_back_as_it_was(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert text.isascii()


@given(st.lists(st.floats()), st.sampled_from([list, tuple]))
def test_numbers_that_json_lacks_are_null_and_no_others(values: list[float], kind: type) -> None:
    told = json.loads(json_text({"a": kind(values)}), parse_constant=pytest.fail)
    assert told == {"a": [value if math.isfinite(value) else None for value in values]}


def test_json_is_indented_and_the_option_is_a_flag() -> None:
    assert json_text({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'

    @click.command()
    @json_option
    def command(as_json: bool) -> None:
        click.echo(json_text({"as_json": as_json}))

    assert [json.loads(CliRunner().invoke(command, given).output)["as_json"] for given in ([], ["--json"])] == [
        False,
        True,
    ]

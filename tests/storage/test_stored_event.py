"""Lines: what is written is what is read."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import StorageError
from hpo.storage.stored_event import lines, now, to_text
from hpo.trials.events import Draft

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON))
def test_text_reads_back_bit_for_bit(data: dict[str, Any]) -> None:
    text = to_text(data, "it")
    assert text.isascii()
    assert repr(json.loads(text)) == repr(data)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_bits(value: float) -> None:
    assert json.loads(to_text({"x": value}, "it"))["x"].hex() == value.hex()


@given(st.lists(st.sampled_from(["asked", "told"]), max_size=5), st.integers(0, 10**6))
def test_lines_go_on_from_the_last(kinds: list[str], last: int) -> None:
    written = lines([Draft(kind, 3, {"k": kind}) for kind in kinds], last, 0.0)
    assert [(line.seq, line.kind, line.event().data) for line in written] == [
        (last + 1 + i, kind, {"k": kind}) for i, kind in enumerate(kinds)
    ]


def test_times_sort_as_text() -> None:
    times = [now() for _ in range(1000)]
    assert times == sorted(times)
    assert all(len(t) == len(times[0]) and t.endswith("+00:00") for t in times)


def test_the_message_names_what_and_why() -> None:
    with pytest.raises(StorageError) as caught:
        to_text({"values": {"loss": math.nan}}, "the data of event 'told'")
    assert str(caught.value).startswith(
        "the data of event 'told' cannot be stored: Out of range float values are not JSON"
    )
    assert str(caught.value).endswith("Give JSON values only")
    with pytest.raises(StorageError, match="the key 3 is not text"):
        to_text({"a": [({"b": {3: 1}},)]}, "it")
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(StorageError, match="Circular"):
        to_text({"loop": loop}, "it")


@pytest.mark.parametrize("number", [np.int64(0), np.array(0), True, 1.0])
def test_a_number_that_a_database_would_bend_is_refused(number: Any) -> None:
    with pytest.raises(StorageError) as caught:
        lines([Draft("told", number)], 0, 0.0)
    assert str(caught.value) == (
        f"event 'told' cannot be stored: its number {number!r} is of type {type(number).__name__}. "
        "Give the trial's number as an int, or None"
    )

from __future__ import annotations

import json

from hpo.cli.strict_json import json_text


def test_json_has_no_infinite_numbers() -> None:
    assert json.loads(json_text({"a": [float("nan"), (float("-inf"), 1.5)], 1: {"b": "\ud800"}})) == {
        "a": [None, [None, 1.5]],
        "1": {"b": "\ud800"},
    }

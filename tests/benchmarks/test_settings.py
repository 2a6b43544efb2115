"""Changing a constant in the contender's own process."""

from __future__ import annotations

import json

import pytest

from benchmarks.settings import SETTINGS, apply_settings
from hpo.bayes import propose


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(propose, "N_RAW", propose.N_RAW)  # restored afterwards
    return monkeypatch


def test_a_setting_changes_the_constant_and_keeps_its_type(settings: pytest.MonkeyPatch) -> None:
    settings.setenv(SETTINGS, json.dumps({"hpo.bayes.propose.N_RAW": 96.0}))
    apply_settings()
    assert propose.N_RAW == 96
    assert isinstance(propose.N_RAW, int)


def test_what_is_no_constant_is_an_error(settings: pytest.MonkeyPatch) -> None:
    settings.setenv(SETTINGS, json.dumps({"hpo.bayes.propose.N_RAWS": 96}))
    with pytest.raises(AttributeError, match="N_RAWS"):
        apply_settings()

"""For executors whose tasks run in processes of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from hpo.testing.executors import await_that


@pytest.fixture
def scratch_folders_go(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is killed, the temporary files go too."""
    folder = tmp_path_factory.mktemp("scratch")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    await_that(lambda: not list(folder.iterdir()), "the temporary folder is empty")

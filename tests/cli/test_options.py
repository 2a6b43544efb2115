from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hpo.cli.main import main
from hpo.cli.options import _only, existing_storage, existing_study, length, n_studies
from hpo.errors import StorageError, StudyNotFound
from hpo.storage import MemoryStorage, open_storage
from tests.cli.stored import call, filled

CONTEXT, OPTION = click.Context(click.Command("hpo")), click.Option(["--outage"])


def test_a_misspelt_study_and_a_missing_file(storage: Path) -> None:
    nothing = call(storage, "best", "digits")
    assert nothing.exit_code == 1
    assert nothing.stderr == f"Error: no file {storage}; `hpo run study.toml` makes one\n"
    assert not storage.exists()
    filled(storage).storage.close()
    wrong = call(storage, "best", "digts")
    assert wrong.stderr.startswith("Error: no study 'digts' in sqlite:///")
    assert "Did you mean 'digits'?" in wrong.stderr
    other = storage.with_name("other.db")
    assert call(other, "list").stderr == f"Error: no file {other}; there is here.db: add --storage {storage}\n"
    assert call(Path(f"sqlite:///{other}"), "list").exit_code == 1
    assert not other.exists()


def test_the_storage_may_come_from_the_environment(storage: Path) -> None:
    filled(storage).storage.close()
    done = CliRunner().invoke(main, ["list"], env={"HPO_STORAGE": str(storage)})
    assert "digits" in done.output


@pytest.mark.parametrize(
    ("given", "seconds"), [(None, None), ("90", 90.0), ("1.5", 1.5), ("10min", 600.0), ("2h", 7200.0), ("30s", 30.0)]
)
def test_a_length_of_time_is_seconds_or_has_a_unit(given: str | None, seconds: float | None) -> None:
    assert length(CONTEXT, OPTION, given) == seconds


@pytest.mark.parametrize("given", ["soon", "1.2.3", "", "-1", "\u00b2"])
def test_what_is_no_length_of_time(given: str) -> None:
    with pytest.raises(click.BadParameter):
        length(CONTEXT, OPTION, given)


@pytest.mark.parametrize(("n", "words"), [(0, "0 studies"), (1, "1 study"), (2, "2 studies")])
def test_studies_are_counted_in_words(n: int, words: str) -> None:
    assert n_studies(n) == words


def test_the_only_study_needs_no_name(storage: Path) -> None:
    open_storage(storage).close()
    with pytest.raises(StudyNotFound) as raised, existing_study(str(storage), None):
        pass
    assert str(raised.value) == f"{storage} has no study yet"
    filled(storage).storage.close()
    with existing_study(str(storage), None) as study:
        assert study.name == "digits"
    filled(storage, "other").storage.close()
    with pytest.raises(StudyNotFound) as raised, existing_study(str(storage), None):
        pass
    assert str(raised.value) == f"{storage} has 2 studies, name one: digits, other"


def test_a_storage_is_closed_whatever_happens(storage: Path) -> None:
    filled(storage).storage.close()
    opened = existing_storage(str(storage))
    store = opened.__enter__()
    assert [*store.names()] == ["digits"]
    opened.__exit__(KeyError, KeyError(), None)
    with pytest.raises(StorageError, match="closed"):
        store.names()


def test_of_several_files_beside_a_missing_one_the_first_is_proposed(tmp_path: Path) -> None:
    for name in ("b c.db", "a b.db"):
        filled(tmp_path / name).storage.close()
    with pytest.raises(StorageError) as raised, existing_storage(str(tmp_path / "x.db")):
        pass
    assert str(raised.value) == (f"no file {tmp_path}/x.db; there is a b.db, b c.db: add --storage '{tmp_path}/a b.db'")


def test_a_password_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudyNotFound) as raised:
        _only(MemoryStorage(), "postgresql://ada:hunter2@db/hpo")
    assert str(raised.value) == "postgresql://ada:***@db/hpo has no study yet"

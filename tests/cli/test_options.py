from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from hpo.cli.main import main
from tests.cli.stored import call, filled


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

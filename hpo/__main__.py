"""`python -m hpo`: the command `hpo`."""

from hpo.cli.main import main

main(prog_name="python -m hpo")

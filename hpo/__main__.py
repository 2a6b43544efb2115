"""`python -m hpo`: the command `hpo`."""

from hpo.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m hpo")

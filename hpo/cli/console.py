"""What the commands print: the one way to the terminal, on which nothing invisible passes."""

from __future__ import annotations

import click

from hpo.common.text import shown


def echo(text: str = "", *, err: bool = False) -> None:
    """Print lines; names and messages in them cannot move the cursor, change colors or set the window's title."""
    click.echo(shown(text, lines=True), err=err)

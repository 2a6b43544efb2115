"""The pages, by Sphinx: `make docs`."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.house.public_names import field_docs

project = "hpo"
version = release = metadata.version("joint-hpo")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"hpo {release}"
html_show_copyright = False
smartquotes = False  # what stands in quotes is often code

default_role = "py:obj"  # `name` in a docstring: a link where it is the name of something, else code
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_inherit_docstrings = False
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"


def add_fields(_app: Sphinx, _what: str, _name: str, value: Any, _options: Any, lines: list[str]) -> None:
    """Describe the arguments of a dataclass whose fields have docstrings of their own."""
    if not (inspect.isclass(value) and dataclasses.is_dataclass(value)):
        return
    docs = field_docs(value)
    described = [name for name in inspect.signature(value).parameters if name in docs]
    text = [f":param {name}: {' '.join(docs[name].split())}" for name in described]
    at = next((i for i, line in enumerate(lines) if line.startswith((":param", ":raises", ".. rubric"))), len(lines))
    lines[at:at] = [*text, ""] if text else []


def shorten_defaults(
    _app: Sphinx, _what: str, _name: str, _value: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """Write defaults that are made anew for each value, and those that say that nothing was given, as users would."""
    if signature is None:
        return None
    for shown, meant in (
        ("<factory>", "{}"),
        ("<Unset.UNSET: 'unset'>", "..."),
        (f"'{sys.executable}'", "sys.executable"),
    ):
        signature = signature.replace(shown, meant)
    return signature.replace(
        "Failures(deaths=0.0, recovery=60.0, hangs=0.0, stragglers=0.0, slowdown=10.0, sick=())", "Failures()"
    ), returns


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", add_fields, priority=600)  # after napoleon
    app.connect("autodoc-process-signature", shorten_defaults)

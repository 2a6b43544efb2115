"""The pages, by Sphinx: `make docs`."""

from importlib import metadata

project = "hpo"
version = release = metadata.version("joint-hpo")
extensions = ["myst_parser"]
myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"hpo {release}"
html_show_copyright = False

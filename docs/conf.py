"""The documentation as a site: `make site` writes build/site, without a network.

The folder of sources is the project's own, so that links between pages are the same here, on a
code host and on a disk.
"""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.docs.directives import Names, plain

project = "melaudit"
author = "The melaudit authors"
copyright = "the authors of melaudit"
version = release = version_of("melaudit")

root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/*/*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "examples/plugin/README.md",
]
exclude_patterns = [".*", "build", "demo", "melaudit", "shared", "tests"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_heading_anchors = 4
default_role = "literal"  # what docstrings set in backticks
nitpicky = False  # types of other packages are named and not linked to

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = "melaudit"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_extra_path = ["site/index.html"]  # leads from the top of the folder to the first page
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def setup(app):  # type: ignore[no-untyped-def]
    """Add what the pages use beyond Sphinx."""
    app.add_directive("public-names", Names)
    app.connect("autodoc-process-docstring", plain)

"""How Sphinx builds these pages."""

import importlib.metadata
from types import GenericAlias

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from dtbdask import schema

project = "dtbdask"
copyright = "2026, the dtbdask developers"
author = "the dtbdask developers"
release = importlib.metadata.version("dtbdask")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
templates_path = ["_templates"]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = f"dtbdask {release}"
html_theme_options = {"show_prev_next": False, "navbar_end": ["theme-switcher"]}


class Arrays(SphinxDirective):
    """Table of the arrays of one store, as `dtbdask.schema` has them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        rows = ["| array | dimensions | dtype | unit | meaning |", "|---|---|---|---|---|"]
        for array in getattr(schema, self.arguments[0]).values():
            dims = ", ".join(array.dims)
            rows.append(
                f"| `{array.name}` | {dims} | {array.dtype} | {array.unit} | {array.meaning} |"
            )
        return self.parse_text_to_nodes("\n".join(rows))


def drop_long_values(app, doctree):
    """Show a constant's value only where a reader takes it in at a glance."""
    for node in list(doctree.findall(addnodes.desc_annotation)):
        if node.astext().lstrip().startswith("=") and len(node.astext()) > 60:
            node.parent.remove(node)


def skip_alias(app, what, name, obj, skip, options):
    """Leave out names of types such as `Row = tuple[str, str]`, which autodoc takes for classes."""
    return True if isinstance(obj, GenericAlias) else None


def setup(app):
    app.connect("autodoc-skip-member", skip_alias)
    app.add_directive("arrays", Arrays)
    app.connect("doctree-read", drop_long_values)

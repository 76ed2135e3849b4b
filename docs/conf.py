"""How Sphinx builds these pages."""

import importlib.metadata
from collections.abc import Iterable
from types import GenericAlias

import numpy as np
from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from dtbdask import rng, schema
from dtbdask.brain.contract import BRAIN
from dtbdask.graph.layouts import COLUMN_SYNAPSES, LAYOUTS
from dtbdask.graph.parameters import PARAMETERS
from dtbdask.sim import bold

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
myst_heading_anchors = 2
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
templates_path = ["_templates"]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = f"dtbdask {release}"
html_theme_options = {"show_prev_next": False, "navbar_end": ["theme-switcher"]}

Table = tuple[tuple[str, ...], Iterable[tuple[object, ...]]]


def arrays(name: str) -> Table:
    """Arrays of one store, as `dtbdask.schema` or the contract of a connectome has them."""
    specs = BRAIN if name == "BRAIN" else getattr(schema, name)
    head = ("array", "dimensions", "dtype", "unit", "meaning")
    return head, [
        (f"`{a.name}`", ", ".join(a.dims), a.dtype, a.unit, a.meaning) for a in specs.values()
    ]


def parameters() -> Table:
    """Parameters of the model, their units, defaults and bounds of sense."""
    head = ("parameter", "default", "unit", "from", "to", "meaning")

    def bound(value: float) -> str:
        return "" if np.isinf(value) else f"{value:g}"

    return head, [
        (f"`{p.name}`", f"{p.default:g}", p.unit, bound(p.low), bound(p.high), p.meaning)
        for p in PARAMETERS.values()
    ]


def column() -> Table:
    """Synapses of the micro-column, with sizes and relative in-degrees."""
    motif = LAYOUTS["column"].cortex
    head = ("target", "share of neurons", "in-degree", *motif.slots, "outside")
    rows = zip(motif.slots, motif.size_share, motif.degree_scale, COLUMN_SYNAPSES, strict=True)
    return head, [(slot, f"{s:.5f}", f"{d:.4f}", *counts) for slot, s, d, counts in rows]


def balloon() -> Table:
    """Constants of the haemodynamic model."""
    return tuple(f"`{name}`" for name in bold.Constants._fields), [bold.CONSTANTS]


def steady_state() -> Table:
    """State and BOLD that a constant firing rate leads to."""
    rates = np.array([1.0, 2, 5, 7, 10, 15, 20, 30, 60])
    _, f, v, q = bold.steady_state(rates)
    rows = zip(rates, f, v, q, bold.signal(v, q), strict=True)
    return ("rate, Hz", "f", "v", "q", "BOLD"), [
        (f"{rate:g}", *(f"{x:.3f}" for x in fvq), f"{signal:.5f}") for rate, *fvq, signal in rows
    ]


def polynomials() -> Table:
    """Coefficients of the float32 polynomials, lowest power first."""
    rows = {"ln(1 + y) / y, in y": rng.LOG, "sin(t) / t, in t²": rng.SIN, "cos(t), in t²": rng.COS}
    return ("polynomial", "coefficients"), [
        (name, ", ".join(f"`{c!r}`" for c in values)) for name, values in rows.items()
    ]


class TableOf(SphinxDirective):
    """Table made from the code when the page is built, by one of the functions above."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        tables = (arrays, parameters, column, balloon, steady_state, polynomials)
        made = {function.__name__: function for function in tables}
        head, rows = made[self.arguments[0]](*self.arguments[1:])
        lines = [head, ("---",) * len(head), *rows]
        text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
        return self.parse_text_to_nodes(text)


def show_formulas(app, what, name, obj, options, lines):
    """Show what stands indented in the text of a docstring as it stands there: it is a formula."""
    ends = [k for k, line in enumerate(lines[1:]) if line and set(line) <= {"-"}]
    text = lines[: ends[0]] if ends else list(lines)
    shown, before = [], ""
    for k, line in enumerate(text):
        starts = line.startswith("    ") and k and not text[k - 1].strip()
        if starts and before and not before.startswith((" ", "..")) and not before.endswith("::"):
            shown += ["::", ""]
        before = line if line.strip() else before
        shown.append(line)
    lines[: len(text)] = shown


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
    app.connect("autodoc-process-docstring", show_formulas, priority=400)
    app.add_directive("table-of", TableOf)
    app.connect("doctree-read", drop_long_values)

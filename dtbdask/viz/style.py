"""One dress for both backends: colours every eye can tell apart, readable letters, sensible sizes.

Series take their colours from Okabe and Ito (2008), each with a second cue (dash or marker), so no
picture depends on colour alone. Matrices run through viridis, deviations from blue to red.
HoloViews keeps the options of Bokeh and Matplotlib apart; the functions here set both, so a picture
looks the same in a notebook, in a report and in print. A caller's own `.opts(...)` go on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import holoviews as hv
import holoviews.plotting.bokeh
import holoviews.plotting.mpl
import numpy as np

from dtbdask.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holoviews.core import Dimensioned
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Look:
    """How one series is told from the others."""

    color: str
    dash: str = "solid"
    marker: str = "circle"


OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
}
"""Okabe and Ito's colours but yellow, which is too pale for lines on white."""

EXCITATORY = Look(OKABE_ITO["blue"], "solid", "circle")
INHIBITORY = Look(OKABE_ITO["vermilion"], "dashed", "triangle")
MEASURED = Look(OKABE_ITO["black"], "solid", "circle")
ENSEMBLE = Look(OKABE_ITO["blue"], "solid", "circle")
PRIOR = Look(OKABE_ITO["orange"], "dashed", "triangle")
TRUTH = Look(OKABE_ITO["green"], "dashed", "diamond")
BOUND = Look("#595959", "dotted", "cross")

CYCLE = (
    Look(OKABE_ITO["blue"], "solid", "circle"),
    Look(OKABE_ITO["vermilion"], "solid", "square"),
    Look(OKABE_ITO["green"], "solid", "diamond"),
    Look(OKABE_ITO["purple"], "solid", "triangle"),
    Look(OKABE_ITO["sky"], "solid", "cross"),
    Look(OKABE_ITO["black"], "solid", "x"),
)
"""Looks of series that have no role of their own."""

SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
ABSENT = "#d9d9d9"
"""Where a matrix has nothing: no fibre, or a correlation that is undefined."""

SMALL = 5
"""Size in pixels below which a marker has no outline, lest it be all outline."""

MAX_PIXELS = 1_000_000
MAX_PANELS = 24

TIME = hv.Dimension("time", label="Time", unit="s")

DASHES = ("solid", "dashed", "dotted", "dashdot", "dotdash", "12 3")
"""Of lines whose colours may agree, by Bokeh's names."""
_LINESTYLE = {
    "solid": "solid", "dashed": "dashed", "dotted": "dotted", "dashdot": "dashdot",
    "dotdash": (0, (1, 2, 5, 2)), "12 3": (0, (12, 3)),
}  # fmt: skip
MARKER = {"circle": "o", "triangle": "^", "diamond": "D", "square": "s", "cross": "+", "x": "x"}
"""Matplotlib's names of Bokeh's markers."""
_LETTERS = {"title": 13, "labels": 12, "ticks": 10, "legend": 11, "clabel": 12, "cticks": 10}
_DPI = 100


def curve(
    x: ArrayLike, y: ArrayLike, x_dim: hv.Dimension, y_dim: hv.Dimension, label: str, look: Look
) -> hv.Curve:
    """One line."""
    element = hv.Curve((np.asarray(x), np.asarray(y)), x_dim, y_dim, label=label)
    element.opts(
        backend="bokeh", color=look.color, line_dash=look.dash, line_width=2, tools=["hover"]
    )
    return element.opts(
        backend="matplotlib", color=look.color, linestyle=_LINESTYLE[look.dash], linewidth=1.8
    )


def band(
    x: ArrayLike,
    mean: ArrayLike,
    deviation: ArrayLike,
    x_dim: hv.Dimension,
    y_dim: hv.Dimension,
    label: str,
    look: Look,
) -> hv.Spread:
    """Mean plus and minus one deviation, as a pale band."""
    columns = (np.asarray(x), np.asarray(mean), np.asarray(deviation))
    element = hv.Spread(columns, x_dim, [y_dim, "deviation"], label=label)
    element.opts(backend="bokeh", fill_color=look.color, fill_alpha=0.25, line_alpha=0.0)
    return element.opts(
        backend="matplotlib", facecolor=look.color, alpha=0.25, linewidth=0, show_legend=True
    )


def dots(
    element: hv.Points, look: Look, *, size: float = 6, hollow: bool = False, alpha: float = 0.9
) -> hv.Points:
    """Dress points or a scatter, in place."""
    fill = 0.0 if hollow else alpha
    element.opts(
        backend="bokeh", marker=look.marker, size=size, fill_alpha=fill, color=look.color,
        line_alpha=alpha if hollow or size >= SMALL else 0.0, tools=["hover"],
    )  # fmt: skip
    faces = {"facecolors": "none", "edgecolors": look.color} if hollow else {"color": look.color}
    edge = 1.2 if hollow or size >= SMALL else 0.0
    return element.opts(
        backend="matplotlib", marker=MARKER[look.marker], s=size**2 * 0.6, alpha=alpha,
        linewidth=edge, **faces,
    )  # fmt: skip


def image(
    element: hv.Image, *, cmap: str, clim: tuple[float, float], logz: bool = False
) -> hv.Image:
    """Dress an image, in place, with a colour bar titled by its value dimension."""
    value = element.vdims[0]
    common = {
        "cmap": cmap, "clim": clim, "logz": logz, "colorbar": True, "clabel": value.pprint_label,
        "clipping_colors": {"NaN": ABSENT},
    }  # fmt: skip
    if logz:
        common["clipping_colors"] = {"NaN": ABSENT, "min": ABSENT}
    element.opts(backend="bokeh", tools=["hover"], **common)
    return element.opts(backend="matplotlib", **common)


def histogram(
    edges: ArrayLike, heights: ArrayLike, x_dim: hv.Dimension, y_dim: hv.Dimension, label: str,
    look: Look,
) -> hv.Histogram:  # fmt: skip
    """Bars, told apart by their outline and, in print, by hatching too."""
    bars = hv.Histogram(
        (np.asarray(edges), np.asarray(heights)), kdims=x_dim, vdims=y_dim, label=label
    )
    bars.opts(
        backend="bokeh", fill_color=look.color, line_color=look.color, fill_alpha=0.35,
        line_dash=look.dash, line_width=1.5, tools=["hover"],
    )  # fmt: skip
    hatch = {} if look.dash == "solid" else {"hatch": "//"}
    return bars.opts(
        backend="matplotlib", facecolor=look.color, edgecolor=look.color, alpha=0.45, **hatch
    )


def panel(
    picture: Dimensioned, title: str, *, width: int = 700, height: int = 280, **options: object
) -> Dimensioned:
    """Give a picture its title, letters and size in pixels (of the frame within the axes)."""
    title = title.replace("{", "{{").replace("}", "}}")  # HoloViews would fill them in
    letters = {name: f"{size}pt" for name, size in _LETTERS.items()}
    picture.opts(
        backend="bokeh", title=title, frame_width=width, frame_height=height, fontsize=letters,
        toolbar="above", **_legend(picture, "bokeh"), **options,
    )  # fmt: skip
    return picture.opts(
        backend="matplotlib", title=title, fig_inches=(width / _DPI + 1, height / _DPI + 1),
        aspect=width / height, fontsize=_LETTERS, **_legend(picture, "matplotlib"), **options,
    )  # fmt: skip


def _legend(picture: Dimensioned, backend: str) -> dict[str, object]:
    if not isinstance(picture, hv.Overlay):
        return {}
    extra = {"click_policy": "mute"} if backend == "bokeh" else {}
    return {"legend_position": "right", **extra}


def stack(panels: Sequence[Dimensioned], columns: int = 1) -> hv.Layout:
    """Panels in a grid."""
    if len(panels) > MAX_PANELS:
        raise InputError(f"{len(panels)} panels asked for; choose at most {MAX_PANELS}")
    layout = hv.Layout(list(panels)).cols(columns)
    inches = 9 if columns == 1 else 5.5
    return layout.opts(
        backend="matplotlib", sublabel_format="", fig_inches=inches, vspace=0.6, hspace=0.9
    )


def check_pixels(rows: int, columns: int, advice: str) -> None:
    """Refuse an image that no screen shows and no browser survives."""
    if rows * columns > MAX_PIXELS:
        raise InputError(
            f"an image of {rows:,} x {columns:,} has {rows * columns:,} pixels, "
            f"more than {MAX_PIXELS:,}; {advice}"
        )

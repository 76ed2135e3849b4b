"""The brain itself: regions or voxels in space, coloured by what they do.

Points can be turned by dragging, in a report and in a notebook alike: the page turns them by
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
from bokeh.models import CustomJS
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError
from dtbdask.viz import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dtbdask.viz.regions import Hook

Floats = NDArray[np.float64]

X = hv.Dimension("x", label="Left to right", unit="mm")
Y = hv.Dimension("y", label="Back to front", unit="mm")
Z = hv.Dimension("z", label="Below to above", unit="mm")
ACROSS = hv.Dimension("across", label="Across", unit="mm")
UP = hv.Dimension("up", label="Below to above", unit="mm")
REGION = hv.Dimension("region", label="Region")
DEPTH = hv.Dimension("depth", label="Depth", unit="mm")

VIEWS = (
    ("From above", X, Y, (0, 1)),
    ("From the left", Y, Z, (1, 2)),
    ("From behind", X, Z, (0, 2)),
)
"""Title, axes and their indices."""
SIZE = (6.0, 16.0)
"""Smallest and largest diameter of a point, pixels: the second cue beside colour."""
STRONGEST = 150
"""Edges of a glass brain."""
_TURN = """
const d = source.data, turned = source.tags, n = (d.x3 ?? []).length;
if (n !== d.across.length) return;
if (cb_obj.event_name === "pan") turned[0] += cb_obj.delta_x * 0.01;
const c = Math.cos(turned[0]), s = Math.sin(turned[0]);
d.across = new Float64Array(n), d.depth = new Float64Array(n);
for (let i = 0; i < n; i++) {
  d.across[i] = d.x3[i] * c - d.y3[i] * s;
  d.depth[i] = d.x3[i] * s + d.y3[i] * c;
}
source.change.emit();
"""
"""Data are changed in place, lest a server be told; the angle is the first tag of the source."""


def brain_points(
    values: ArrayLike, xyz: ArrayLike, names: Sequence[str], value: hv.Dimension, *,
    title: str = "The brain", clim: tuple[float, float] | None = None, diverging: bool = False,
    azimuth_deg: float = 0.0,
) -> hv.Points:  # fmt: skip
    """Regions or voxels as points in space; in Bokeh, dragging turns the brain.

    Parameters
    ----------
    values : array_like
        (voxel) float, what the colour and size show; NaN is left out, as are points without place.
    xyz : array_like
        (voxel, axis) float, mm.
    names : sequence of str
        Of voxels.
    value : holoviews.Dimension
        What the values are, with unit.
    title : str
    clim : tuple of float, optional
        Values of the first and last colour.
    diverging : bool
        Blue to red about 0.
    azimuth_deg : float
        Of the eye, about the vertical, 0 from behind.

    Returns
    -------
    points : holoviews.Points
        Across and up (mm), then the value, region, depth (mm).

    Raises
    ------
    InputError
        Sizes do not fit, or nothing is left to show.
    """
    level, place, name = _placed(values, xyz, names)
    angle = np.deg2rad(azimuth_deg)
    flat = place[:, :2] - place[:, :2].mean(axis=0)
    across = flat[:, 0] * np.cos(angle) - flat[:, 1] * np.sin(angle)
    depth = flat[:, 0] * np.sin(angle) + flat[:, 1] * np.cos(angle)
    order = np.argsort(-depth, kind="stable")  # what is near is drawn last
    limits = clim or span(level, diverging)
    columns = (across, place[:, 2], level, name, depth, _sizes(level, limits))
    kinds = [value, REGION, DEPTH, "size"]
    picture = hv.Points(tuple(np.asarray(c)[order] for c in columns), [ACROSS, UP], kinds)
    hook = _turning(flat[order, 0], flat[order, 1], angle)
    _dress(picture, value, limits, diverging=diverging)
    picture.opts(
        backend="bokeh", hooks=[hook], default_tools=["save", "wheel_zoom", "reset"],
        active_tools=[],
    )  # fmt: skip
    reach = float(np.hypot(*flat.T).max()) + 8  # room to turn
    return style.panel(
        picture, title, width=420, height=380, xlim=(-reach, reach), data_aspect=1,
        ylim=(float(place[:, 2].min()) - 8, float(place[:, 2].max()) + 8),
    )  # fmt: skip


def glass_brain(
    values: ArrayLike, xyz: ArrayLike, names: Sequence[str], value: hv.Dimension, *,
    connection: ArrayLike | None = None, edges: int = STRONGEST,
    clim: tuple[float, float] | None = None, diverging: bool = False,
) -> hv.Layout:  # fmt: skip
    """Regions from above, from the left and from behind, with the strongest connections.

    Parameters
    ----------
    values : array_like
        (voxel) float, as of `brain_points`, like all up to `diverging`.
    xyz : array_like
        (voxel, axis) float, mm.
    names : sequence of str
    value : holoviews.Dimension
    clim : tuple of float, optional
    diverging : bool
    connection : array_like, optional
        (voxel, voxel) float, any unit; of each pair the larger of both directions counts.
    edges : int
        How many of the strongest are drawn.

    Returns
    -------
    glass : holoviews.Layout
        Three panels of segments and points.

    Raises
    ------
    InputError
        Sizes do not fit, or nothing is left to show.
    """
    level, place, name = _placed(values, xyz, names)
    limits = clim or span(level, diverging)
    pairs = np.zeros((0, 2), np.int64)
    if connection is not None:
        whole = np.asarray(connection, np.float64)
        kept = _kept(values, xyz)
        if whole.shape != (kept.size, kept.size):
            raise InputError(f"connection is {whole.shape}; expected {(kept.size, kept.size)}")
        pairs = _strongest(whole[np.ix_(kept, kept)], edges)
    panels = []
    for title, x, y, (i, j) in VIEWS:
        ends = place[pairs]  # (edge, end, axis)
        lines = hv.Segments(
            (ends[:, 0, i], ends[:, 0, j], ends[:, 1, i], ends[:, 1, j]),
            [x, y, x.clone("x1"), y.clone("y1")],
        )
        lines.opts(backend="bokeh", color="#808080", line_alpha=0.35)
        lines.opts(backend="matplotlib", color="#808080", alpha=0.35, linewidth=0.7)
        columns = (place[:, i], place[:, j], level, name, _sizes(level, limits))
        points = hv.Points(columns, [x, y], [value, REGION, "size"])
        _dress(points, value, limits, diverging=diverging, colorbar=(i, j) == (0, 2))
        panels.append(
            style.panel(lines * points, title, width=300, height=270, data_aspect=1,
                        show_legend=False)
        )  # fmt: skip
    return _side_by_side(panels)


def _side_by_side(panels: Sequence[hv.Overlay]) -> hv.Layout:
    layout = style.stack(panels, columns=len(panels))
    return layout.opts(backend="matplotlib", fig_inches=4.5, hspace=0.35)


def _kept(values: ArrayLike, xyz: ArrayLike) -> NDArray[np.bool_]:
    level, place = np.asarray(values, np.float64), np.asarray(xyz, np.float64)
    if level.ndim != 1 or place.shape != (level.size, 3):
        raise InputError(
            f"values are {level.shape} and xyz {place.shape}; give (voxel) and (voxel, 3)"
        )
    kept: NDArray[np.bool_] = ~np.isnan(level) & ~np.isnan(place).any(axis=1)
    if not kept.any():
        raise InputError("no voxel has both a value and a place; there is nothing to draw")
    return kept


def _placed(
    values: ArrayLike, xyz: ArrayLike, names: Sequence[str] | None
) -> tuple[Floats, Floats, NDArray[np.str_]]:
    """Values, places and names of those that have both of the former."""
    kept = _kept(values, xyz)
    told = np.arange(kept.size).astype(str) if names is None else np.asarray(names, str)
    if told.size != kept.size:
        raise InputError(f"names are {told.size}, values {kept.size}; give one name for each")
    return np.asarray(values, float)[kept], np.asarray(xyz, float)[kept], told[kept]


def span(level: Floats, diverging: bool) -> tuple[float, float]:
    """Values of the first and last colour, for values none of which is NaN.

    Parameters
    ----------
    level : ndarray
        float64, any shape but an empty one.
    diverging : bool
        As far below 0 as above it.
    """
    if diverging:
        reach = float(np.abs(level).max()) or 1.0
        return -reach, reach
    low, high = float(level.min()), float(level.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _sizes(level: Floats, clim: tuple[float, float]) -> Floats:
    """Diameter of each point: the farther from 0, or from the first colour, the larger."""
    low, high = clim
    base = 0.0 if low < 0 < high else low
    share = np.abs(level - base) / (max(abs(low - base), abs(high - base)) or 1.0)
    scale = 1.0 if level.size <= 1000 else 0.4
    sizes: Floats = scale * (SIZE[0] + (SIZE[1] - SIZE[0]) * np.clip(share, 0.0, 1.0))
    return sizes


def _map(diverging: bool) -> str:
    return style.DIVERGING if diverging else style.SEQUENTIAL


def _dress(
    points: hv.Points, value: hv.Dimension, clim: tuple[float, float], *, diverging: bool,
    colorbar: bool = True,
) -> None:  # fmt: skip
    common = {
        "color": value.name, "cmap": _map(diverging), "clim": clim, "colorbar": colorbar,
        "clabel": value.pprint_label,
    }  # fmt: skip
    points.opts(
        backend="bokeh", size="size", line_color="#404040", line_width=0.5, tools=["hover", "tap"],
        nonselection_alpha=0.35, **common,
    )  # fmt: skip
    points.opts(
        backend="matplotlib", s=hv.dim("size") ** 2 * 0.6, edgecolors="#404040", linewidth=0.4,
        **common,
    )  # fmt: skip


def _turning(x: Floats, y: Floats, angle: float) -> Hook:
    """Bokeh hook: dragging turns the points about the vertical, in the browser alone."""

    def turn(plot: hv.plotting.bokeh.ElementPlot, element: hv.Element) -> None:
        source = plot.handles["source"]
        source.data = {**source.data, "x3": x, "y3": y}
        if "turning" in plot.handles:
            return
        plot.handles["turning"] = True
        source.tags = [angle]
        code = CustomJS(args={"source": source}, code=_TURN)
        plot.state.js_on_event("pan", code)
        source.js_on_change("data", code)  # new values keep the angle

    return turn


def _strongest(matrix: Floats, n: int) -> NDArray[np.int64]:
    """Pairs of the n strongest connections: (edge, 2)."""
    both = np.triu(np.maximum(matrix, matrix.T), 1)
    flat = np.argsort(both, axis=None, kind="stable")[::-1][:n]
    pairs = np.stack(np.unravel_index(flat, both.shape), axis=1)
    return pairs[both[pairs[:, 0], pairs[:, 1]] > 0].astype(np.int64)

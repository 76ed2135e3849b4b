"""Slices of the brain: voxels on a grid, cut in three orthogonal planes through a point."""

from __future__ import annotations

import holoviews as hv
import numpy as np
from numpy.typing import ArrayLike

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.brain import VIEWS, Floats, X, Y, Z, _map, _placed, _side_by_side, span

CELLS = 1 << 26
"""Most cells of a box that voxels are put into."""
DENSE = 0.01
"""Share of that box which voxels fill at least, unless slices through it are all but empty."""


def brain_slices(
    values: ArrayLike, xyz: ArrayLike, value: hv.Dimension, *,
    at_mm: tuple[float, float, float] | None = None, clim: tuple[float, float] | None = None,
    diverging: bool = False,
) -> hv.Layout:  # fmt: skip
    """Three orthogonal slices of voxels on a grid, through a point.

    Parameters
    ----------
    values : array_like
        (voxel) float.
    xyz : array_like
        (voxel, axis) float, mm, on a regular grid along the axes.
    value : holoviews.Dimension
        What the values are, with unit.
    at_mm : tuple of float, optional
        Where the slices meet; by default at the voxel nearest the middle of all.
    clim, diverging
        As of `brain_points`.

    Returns
    -------
    slices : holoviews.Layout
        Images from above, from the left and from behind, each with cross-hairs; white where there
        is no voxel.

    Raises
    ------
    InputError
        Sizes do not fit, or the voxels do not lie on a grid.
    """
    level, place, _ = _placed(values, xyz, None)
    low, step, cube = _grid(level, place)
    middle = place[np.argmin(((place - place.mean(axis=0)) ** 2).sum(axis=1))]
    point = np.asarray(middle if at_mm is None else at_mm, np.float64)
    at = np.clip(np.round((point - low) / step).astype(int), 0, np.array(cube.shape) - 1)
    limits = clim or span(level, diverging)
    panels = []
    for title, x, y, (i, j) in VIEWS:
        (k,) = {0, 1, 2} - {i, j}
        cut = np.take(cube, at[k], axis=k)
        edge = [(low[a] - step / 2, low[a] + (cube.shape[a] - 0.5) * step) for a in (i, j)]
        picture = hv.Image(
            cut.T[::-1], [x, y], value, bounds=(edge[0][0], edge[1][0], edge[0][1], edge[1][1])
        )
        style.image(picture, cmap=_map(diverging), clim=limits)
        for backend in ("bokeh", "matplotlib"):
            picture.opts(
                backend=backend, clipping_colors={"NaN": "#ffffff"}, colorbar=(i, j) == (0, 2)
            )
        lines = _cross(float(low[i] + at[i] * step), float(low[j] + at[j] * step))
        third = (X, Y, Z)[k]
        told = f"{title}, {third.name} = {low[k] + at[k] * step:g} mm"
        panels.append(style.panel(picture * lines, told, width=300, height=270, data_aspect=1))
    return _side_by_side(panels)


def on_grid(xyz: ArrayLike) -> bool:
    """Whether voxels lie on a grid, so densely that slices through them show something.

    Parameters
    ----------
    xyz : array_like
        (voxel, axis) float, mm.
    """
    place = np.asarray(xyz, np.float64)
    place = place[~np.isnan(place).any(axis=1)]
    if not len(place):
        return False
    try:
        cube = _grid(np.zeros(len(place)), place)[2]
    except InputError:
        return False
    return bool(np.isfinite(cube).mean() >= DENSE)


def _cross(x: float, y: float) -> hv.Overlay:
    lines = [hv.VLine(x), hv.HLine(y)]
    for line in lines:
        line.opts(backend="bokeh", color=style.BOUND.color, line_width=1)
        line.opts(backend="matplotlib", color=style.BOUND.color, linewidth=0.8)
    return hv.Overlay(lines)


def _grid(level: Floats, place: Floats) -> tuple[Floats, float, Floats]:
    """Lowest corner, distance of voxels, and the values in a box: (x, y, z) float64."""
    low = place.min(axis=0)
    apart = np.concatenate([np.diff(np.unique(place[:, axis])) for axis in range(3)])
    apart = apart[apart > 1e-3]
    step = float(apart.min()) if apart.size else 1.0
    index = (place - low) / step
    if np.abs(index - np.round(index)).max() > 0.05:
        raise InputError("xyz do not lie on a regular grid; draw glass_brain instead of slices")
    at = np.round(index).astype(np.int64)
    shape = at.max(axis=0) + 1
    if np.prod(shape, dtype=float) > CELLS:
        raise InputError(f"xyz span a grid of {shape.tolist()}; that is more than can be cut")
    cube = np.full(shape, np.nan)
    cube[tuple(at.T)] = level
    return low, step, cube

"""The brain over time: one picture of points for each moment, and a way to play them.

In a notebook HoloViews gives the film a slider; in a page that nobody serves, the frames travel in
the page and a slider there changes what differs between them, so that turning goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
from bokeh.layouts import column, row
from bokeh.models import CustomJS
from bokeh.models.widgets import Button, Slider
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError
from dtbdask.viz import style
from dtbdask.viz.brain import brain_points, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.model import Model

MOST_FRAMES = 400
"""Most frames of a film: each is a picture."""
FRAME_MS = 250
"""Time of a frame on the screen."""

_SHOW = """
const frame = frames[slider.value];
const columns = frame instanceof Map ? frame : Object.entries(frame);
for (const [name, values] of columns) source.data[name] = values;
slider.title = titles[slider.value];
source.change.emit();
"""
_PLAY = """
if (button.tags.length) {
  clearInterval(button.tags.pop());
  button.label = "Play";
} else {
  button.tags.push(setInterval(() => {
    slider.value = slider.value < slider.end ? slider.value + 1 : slider.start;
  }, pause));
  button.label = "Stop";
}
"""


def brain_film(
    values: ArrayLike, time_s: ArrayLike, xyz: ArrayLike, names: Sequence[str],
    value: hv.Dimension, *, title: str = "The brain", clim: tuple[float, float] | None = None,
    diverging: bool = False, azimuth_deg: float = 0.0,
) -> hv.HoloMap:  # fmt: skip
    """Regions or voxels as points in space over time, in one scale of colours.

    Parameters
    ----------
    values : array_like
        (frame, voxel) float; a voxel that is NaN in any frame is left out.
    time_s : array_like
        (frame) float, s, all different.
    xyz : array_like
        (voxel, axis) float, mm.
    names, value, title, clim, diverging, azimuth_deg
        As of `dtbdask.viz.brain.brain_points`.

    Returns
    -------
    film : holoviews.HoloMap
        Points by time (s).

    Raises
    ------
    InputError
        Sizes do not fit, there are no frames or too many, or nothing is left to show.
    """
    frames, time = np.asarray(values, np.float64), np.asarray(time_s, np.float64)
    if frames.ndim != 2 or time.shape != frames.shape[:1] or not 0 < time.size <= MOST_FRAMES:
        raise InputError(
            f"values are {frames.shape} and time_s {time.shape}; give (frame, voxel) and (frame), "
            f"1 to {MOST_FRAMES} frames"
        )
    frames = np.where(np.isnan(frames).any(axis=0), np.nan, frames)
    seen = frames[:, ~np.isnan(frames[0])]
    limits = clim or (span(seen, diverging) if seen.size else None)
    pictures = {
        float(t): brain_points(
            frame, xyz, names, value, title=f"{title}, {t:.3f} s", clim=limits,
            diverging=diverging, azimuth_deg=azimuth_deg,
        )
        for t, frame in zip(time, frames, strict=True)
    }  # fmt: skip
    return hv.HoloMap(pictures, kdims=[style.TIME])


def played(film: hv.HoloMap) -> Model:
    """A film as Bokeh models that need no server: the figure under a slider and a button.

    Parameters
    ----------
    film : holoviews.HoloMap
        Of elements of one kind.

    Returns
    -------
    bokeh.model.Model
    """
    plot = hv.renderer("bokeh").get_plot(film)
    keys, frames, titles = list(film.keys()), [], []
    for key in keys:
        plot.update(key if isinstance(key, tuple) else (key,))
        frames.append(dict(plot.handles["source"].data))
        titles.append(plot.state.title.text)
    changing = [name for name in frames[0] if any(_differ(frames[0][name], frame[name])
                                                  for frame in frames)]  # fmt: skip
    source, last = plot.handles["source"], len(keys) - 1
    slider = Slider(start=0, end=max(last, 1), value=last, step=1, width=380, show_value=False,
                    title=titles[-1], disabled=last == 0)  # fmt: skip
    plot.state.title.visible = False  # that of the slider changes with it
    kept = [{name: frame[name] for name in changing} for frame in frames]
    code = CustomJS(
        args={"source": source, "frames": kept, "titles": titles, "slider": slider}, code=_SHOW
    )
    slider.js_on_change("value", code)
    button = Button(label="Play", width=70)
    button.js_on_click(
        CustomJS(args={"button": button, "slider": slider, "pause": FRAME_MS}, code=_PLAY)
    )
    return column(row(button, slider), plot.state)


def _differ(one: Any, other: Any) -> bool:
    a: NDArray[Any] = np.asarray(one)
    b: NDArray[Any] = np.asarray(other)
    return a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")

"""Fit: scores beside those of predictors without a model, BOLD, parameters, skill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtbdask.viz.app.desk import MOST, PANELS, begun, few_voxels, thin
from dtbdask.viz.app.figure import Figure, Table
from dtbdask.viz.bold import bold_traces
from dtbdask.viz.parameters import parameter_traces
from dtbdask.viz.skill import innovations, rank_bars, spread_and_error
from dtbdask.viz.tables import fit_rows

if TYPE_CHECKING:
    from dtbdask.viz.app.desk import Desk, Part
    from dtbdask.viz.app.study import Fit

SCORES = "Scores, beside predictors that need no model"


def fit(desk: Desk, made: Fit) -> list[Part]:
    """Parts of the page."""
    key, whole = desk.key(made), desk.key(made, regions=False)
    names = [str(name) for name in made.data["parameter"].values]
    return [
        Table(lambda: fit_rows(few_voxels(made.data)), SCORES),
        desk.over_time(
            made, lambda: bold_traces(_few_frames(desk, made), desk.panels()), key,
            "Measured BOLD (points) and its forecast, mean and spread of the ensemble.",
        ),
        *(_parameter(desk, made, name) for name in names),
        desk.over_time(made, lambda: innovations(few_voxels(desk.frames(made))), whole,
                       "What the forecast missed: mean of the regions and their spread."),
        desk.over_time(made, lambda: spread_and_error(few_voxels(desk.frames(made))), whole,
                       "Error of the forecast beside the ensemble's spread."),
        Figure(lambda: rank_bars(few_voxels(desk.frames(made))), whole,
               "Rank of the measurement among the members; flat is reliable."),
    ]  # fmt: skip


def _parameter(desk: Desk, made: Fit, name: str) -> Figure:
    return desk.over_time(
        made, lambda: parameter_traces(_few_frames(desk, made), name, desk.panels()),
        desk.key(made), f"{name}: mean and spread of the ensemble, bounds dotted.",
    )  # fmt: skip


def _few_frames(desk: Desk, made: Fit) -> Any:
    """What is chosen of a fit, of so few frames that all members may be taken."""
    data = begun(desk.frames(made))
    return thin(data, "frame", MOST // (3 * PANELS * data.sizes["member"]))

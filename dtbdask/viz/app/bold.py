"""BOLD: what a scanner would see of a run, and whose signals go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtbdask.errors import InputError
from dtbdask.viz.app.desk import enough, thin
from dtbdask.viz.app.figure import Figure
from dtbdask.viz.bold import bold_traces
from dtbdask.viz.comparison import fc_comparison
from dtbdask.viz.tables import thinned

if TYPE_CHECKING:
    from dtbdask.viz.app.desk import Desk, Part
    from dtbdask.viz.app.study import Run


def bold(desk: Desk, run: Run) -> list[Part]:
    """Parts of the page."""
    brain = desk.study.brain
    measured = brain[["bold_rest"]] if brain is not None and "bold_rest" in brain else None

    def together() -> Any:
        simulated = enough(_frames(desk, run)["bold"])
        there = None if measured is None else _chosen(desk, measured)["bold_rest"]
        return fc_comparison(simulated, there)

    return [
        desk.over_time(
            run, lambda: bold_traces(_begun(thin(desk.part(run), "frame")), desk.panels()),
            desk.key(run), "Simulated BOLD of the chosen regions.",
        ),
        Figure(
            together, desk.key(run), "Functional connectivity of the simulated BOLD"
            + (", of the measured, and their difference." if measured is not None else "."),
        ),
    ]  # fmt: skip


def _frames(desk: Desk, run: Run) -> Any:
    return _chosen(desk, desk.part(run)[["bold"]])


def _chosen(desk: Desk, data: Any) -> Any:
    """The chosen regions, if these are two or more; of too many every second, third ..."""
    regions = sorted(set(desk.choice.regions))
    return data.isel(voxel=regions) if len(regions) > 1 else thinned(data)[0]


def _begun(data: Any) -> Any:
    if not data.sizes["frame"]:
        raise InputError("no frame of BOLD is in this range of time yet")
    return data

"""Neurons: membranes and currents, of single neurons and of regions, as far as recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtbdask.viz.app.desk import thin
from dtbdask.viz.traces import (
    MEANS,
    membrane_traces,
    neuron_currents,
    receptor_currents,
    region_means,
)
from dtbdask.viz.window import of_regions

if TYPE_CHECKING:
    from dtbdask.viz.app.desk import Desk, Part
    from dtbdask.viz.app.study import Run

QUANTITIES = ("sample_v", "receptor_current", *MEANS)
"""Of which a recording needs one for this page."""


def neurons(desk: Desk, run: Run) -> list[Part]:
    """Parts of the page."""
    key = desk.key(run)

    def part(dim: str = "look") -> Any:
        return thin(desk.part(run), dim)

    parts: list[Part] = []
    if "sample_v" in run.data:
        parts += [
            desk.over_time(run, lambda: membrane_traces(part()), key,
                           "Membrane potential of sampled neurons."),
            desk.over_time(run, lambda: neuron_currents(part()), key,
                           "Currents into the same neurons: of all synapses, and background."),
        ]  # fmt: skip
    if "receptor_current" in run.data:
        parts.append(desk.over_time(
            run, lambda: receptor_currents(part("bin"), desk.panels()), key,
            "Current of each receptor, mean over the neurons of a region.",
        ))  # fmt: skip
    parts += [_means(desk, run, name) for name in MEANS if name in run.data]
    return parts


def _means(desk: Desk, run: Run, name: str) -> Part:
    return desk.over_time(
        run, lambda: region_means(of_regions(desk.part(run), desk.choice.regions), name),
        desk.key(run), f"{MEANS[name][0].label} of every chosen region over time.",
    )  # fmt: skip

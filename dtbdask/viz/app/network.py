"""Network: who is connected with whom, of regions and of populations, and how strongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import holoviews as hv
from holoviews.streams import Tap

from dtbdask.viz.app.figure import Figure
from dtbdask.viz.matrices import MatrixSource, population_matrix, voxel_matrix, zoom_matrix
from dtbdask.viz.network import degree_histogram, weight_histogram

if TYPE_CHECKING:
    from dtbdask.graph.network import Network
    from dtbdask.viz.app.desk import Desk, Part

FIBRES = hv.Dimension("connection", label="Connection", unit="fibres")
SYNAPSES = hv.Dimension("synapses", label="Synapses", unit="expected")


def network(desk: Desk) -> list[Part]:
    """Parts of the page."""
    found, brain = desk.study.network, desk.study.brain
    parts: list[Part] = []
    if brain is not None:
        matrix = brain["connection"].transpose("voxel", "voxel_source").data
        parts.append(_of_regions(desk, MatrixSource(matrix), FIBRES, "Fibres"))
    if found is not None:
        parts.append(_of_regions(desk, MatrixSource(voxel_matrix(found)), SYNAPSES, "Synapses"))
        parts += _of_network(found)
    return parts


def _of_regions(desk: Desk, matrix: MatrixSource, value: hv.Dimension, title: str) -> Figure:
    labels = desk.study.labels

    def choose(x: float | None, y: float | None) -> None:
        pair = [round(v) for v in (y, x) if v is not None]
        if len(pair) == 2 and all(0 <= region < len(labels) for region in pair):
            desk.choice.toggle(*dict.fromkeys(pair))

    return Figure(
        lambda: zoom_matrix(matrix, value, names=labels, title=title), lambda: 0,
        "Row the target, column the source; zoom in to the single pair. A click chooses both "
        "regions of a pair on all pages, another click on them lets them go.",
        wire=lambda picture: Tap(source=picture).add_subscriber(choose),
    )  # fmt: skip


def _of_network(found: Network) -> list[Part]:
    def matrix() -> Any:
        labels = [f"{found.labels[v]} {'E' if e else 'I'}" for v, e in zip(
            found.populations.voxel, found.populations.excitatory, strict=True)]  # fmt: skip
        return zoom_matrix(
            population_matrix(found), SYNAPSES, names=labels, title="Synapses of populations"
        )

    return [
        Figure(matrix, lambda: 0, "The same between populations."),
        Figure(lambda: degree_histogram(found), lambda: 0, "Synapses on neurons, and of neurons."),
        Figure(
            lambda: weight_histogram(found), lambda: 0, "Weights, of the synapses first stored."
        ),
    ]

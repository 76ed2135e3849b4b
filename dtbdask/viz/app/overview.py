"""Overview: what is here, how far it is, and where it is from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dtbdask.viz.app.figure import Figure, Table
from dtbdask.viz.tables import told

if TYPE_CHECKING:
    from dtbdask.viz.app.desk import Desk, Part
    from dtbdask.viz.app.study import Run, Study

Row = tuple[str, Any, str]


def overview(desk: Desk) -> list[Part]:
    """Parts of the page."""
    study = desk.study
    return [
        Table(lambda: progress(study), "What is here"),
        *(_course(run) for run in study.runs),
        Table(lambda: provenance(study), "Where it is from"),
    ]


def _course(run: Run) -> Figure:
    course = run.course
    return Figure(
        course.curves, lambda: course.n_rows, f"Mean rates of {run.path.name}, as they come.",
        steady=lambda: 0, cheap=True,
    )  # fmt: skip


def progress(study: Study) -> list[Row]:
    """How large the network is, and how far runs and fits are."""
    rows: list[Row] = []
    network = study.network
    if network is not None:
        rows.append(("Network", network.path, ""))
        rows.append(("Neurons", network.n_neurons, f"in {len(network.labels):,} regions"))
        rows.append(("Synapses", network.n_synapses, ""))
    for run in study.runs:
        rows += _of_run(run)
    for fit in study.fits:
        state = "finished" if fit.finished else "assimilating"
        note = f"{fit.data.sizes['frame']} of {fit.n_frames} frames are there"
        rows.append((f"Fit {fit.path.name}", state, note))
    return rows


def _of_run(run: Run) -> list[Row]:
    course = run.course
    share = (course.there_s - course.start_s) / max(course.stop_s - course.start_s, 1e-12)
    state = "finished" if run.finished else "running"
    rows: list[Row] = [
        (f"Recording {run.path.name}", state, f"{share:.0%} of its time is there"),
        ("Recorded until", f"{course.there_s:.3f} s",
         f"of {course.start_s:g} to {course.stop_s:g} s"),
    ]  # fmt: skip
    if np.isfinite(course.speed):
        note = "on the clock for one of biological time, between the last two looks"
        rows.append(("Speed", f"{course.speed:.3g} s", note))
    if np.isfinite(course.rate_hz):
        rows.append(("Spikes", course.n_spikes, "of all neurons"))
        rows.append(("Mean rate", f"{course.rate_hz:.3g} Hz", "over neurons and time"))
    return rows


def provenance(study: Study) -> list[Row]:
    """What the stores say of themselves."""
    stores = [(store.path.name, store.data.attrs) for store in study.stores]
    if study.network is not None:
        stores.append(("network", dict(study.network.attributes)))
    return [
        (f"{name}: {key}", told(value), "")
        for name, attributes in stores
        for key, value in attributes.items()
        if key not in ("labels", "population_labels", "error_variance")
    ]

"""Statistics: how regularly, how alike and in which rhythms the chosen regions fire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtbdask.errors import InputError
from dtbdask.viz.app.figure import Figure
from dtbdask.viz.sections import BIN_MS, LONGEST_S, SHORTEST
from dtbdask.viz.statistics import (
    correlation_histogram,
    interval_histogram,
    rate_boxes,
    rate_spectrum,
    rate_wavelet,
)
from dtbdask.viz.window import by_step, of_regions

if TYPE_CHECKING:
    from dtbdask.viz.app.desk import Desk, Part
    from dtbdask.viz.app.study import Run


def statistics(desk: Desk, run: Run) -> list[Part]:
    """Parts of the page."""
    key = desk.key(run)
    parts: list[Part] = []
    if run.spikes is not None:
        parts += [
            Figure(
                lambda: interval_histogram(_spikes(desk, run)), key,
                "Coefficient of variation of the intervals between spikes, neuron by neuron: 0 for "
                "a clock, 1 for a Poisson process; of the last 500,000 visible spikes at most.",
            ),
            Figure(
                lambda: correlation_histogram(_spikes(desk, run)), key,
                "Correlations of the spike counts of random pairs of neurons, of the same spikes.",
            ),
        ]  # fmt: skip
    if {"spike_count", "bin_spike_count"} & set(run.data):
        parts += [
            Figure(lambda: rate_boxes(*_rates(desk, run, 10.0)), key,
                   "Spread of the mean rates over time."),
            Figure(lambda: rate_spectrum(*_rates(desk, run, BIN_MS)), key,
                   "Power spectrum of the mean rates, by Welch's method."),
            desk.over_time(run, lambda: rate_wavelet(*_rates(desk, run, BIN_MS)), key,
                           "Power of the mean rate over time and frequency."),
        ]  # fmt: skip
    return parts


def _spikes(desk: Desk, run: Run) -> Any:
    """Chosen part of a recording, with its spikes: the last of them."""
    assert run.spikes is not None
    step, neuron = run.spikes.last(desk.visible(run))
    part = of_regions(desk.part(run), desk.choice.regions)
    return part.assign(
        spike_step=("spike", step + run.spikes.first_step), spike_neuron=("spike", neuron)
    )


def _rates(desk: Desk, run: Run, bin_ms: float) -> tuple[Any, float]:
    """Chosen part of a recording, and a width of bins that is a whole number of its steps."""
    part = of_regions(by_step(desk.part(run)), desk.choice.regions)
    dt = float(part.attrs["dt_ms"])
    width = max(1, round(bin_ms / dt)) * dt
    last = part.isel(step=slice(-max(1, round(LONGEST_S * 1e3 / dt)), None))
    bins = int(last.sizes["step"] * dt / width)
    if bins < SHORTEST and bin_ms == BIN_MS:
        raise InputError(
            f"{bins} bins of {width:g} ms are in this range of time; a spectrum needs {SHORTEST}"
        )
    return last, width

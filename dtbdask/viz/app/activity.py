"""Activity: every spike, and rates of the brain, of regions, of populations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtbdask.viz.app.figure import Figure
from dtbdask.viz.rates import population_rates, rate_histogram, region_rates
from dtbdask.viz.traces import region_curves
from dtbdask.viz.window import by_step, of_regions
from dtbdask.viz.zoom import zoom_raster

if TYPE_CHECKING:
    from dtbdask.viz.app.desk import Desk, Part
    from dtbdask.viz.app.study import Run

BINS = 200
"""Time bins of a course of rates."""
CELLS = 500_000
"""Most counts, bins times populations, of the image of region rates."""


def activity(desk: Desk, run: Run) -> list[Part]:
    """Parts of the page."""
    parts: list[Part] = [] if run.spikes is None else [_raster(desk, run)]
    if not {"spike_count", "bin_spike_count"} & set(run.data):
        return parts
    key, choice = desk.key(run), desk.choice

    def mine(n: int = BINS) -> tuple[Any, float]:
        part = of_regions(by_step(desk.part(run)), choice.regions)
        return part, _bin_ms(part, n)

    def single() -> Any:
        part = by_step(desk.part(run))
        return region_curves(part, desk.panels(), _bin_ms(part))

    return [
        *parts,
        desk.over_time(run, lambda: population_rates(*mine()), key, "Mean rates of the chosen."),
        desk.over_time(run, single, key, "Rates of single regions."),
        desk.over_time(
            run, lambda: region_rates(*mine(min(BINS, CELLS // run.data.sizes["population"]))), key,
            "Rate of every chosen region over time.",
        ),
        Figure(lambda: rate_histogram(mine()[0]), key,
               "How many populations fire at which mean rate."),
    ]  # fmt: skip


def _raster(desk: Desk, run: Run) -> Figure:
    assert run.spikes is not None
    spikes = run.spikes

    def draw() -> Any:
        return zoom_raster(spikes, window_s=desk.shown(run), regions=list(desk.choice.regions))

    def listen(picture: Any) -> None:
        picture.streams[0].add_subscriber(lambda x_range, y_range: desk.seen(run, x_range, figure))

    figure = Figure(
        draw, desk.key(run),
        "Zoom with the wheel, drag to pan: rates of bins from afar, every spike from near "
        "(circles excitatory, triangles inhibitory). All pages take the visible time.",
        wire=listen,
    )  # fmt: skip
    return figure


def _bin_ms(part: Any, n: int = BINS) -> float:
    """Width of a bin of which some fit in a recording."""
    return float(max(1, -(-part.sizes["step"] // max(n, 1))) * part.attrs["dt_ms"])

"""Compare: what differs between two runs, in recipe, rates and functional connectivity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtbdask.viz.app.desk import enough
from dtbdask.viz.app.figure import Figure, Table
from dtbdask.viz.comparison import fc_comparison, rate_scatter
from dtbdask.viz.tables import difference_rows, thinned
from dtbdask.viz.window import of_regions

if TYPE_CHECKING:
    from dtbdask.viz.app.desk import Desk, Part
    from dtbdask.viz.app.study import Run


def compare(desk: Desk, one: Run, other: Run) -> list[Part]:
    """Parts of the page."""
    names = (one.path.name, other.path.name)

    def rates() -> Any:
        parts = [of_regions(desk.part(run), desk.choice.regions) for run in (one, other)]
        return rate_scatter(parts[0], parts[1], *names)

    def together() -> Any:
        found = [enough(thinned(desk.part(run)[["bold"]])[0]["bold"]) for run in (one, other)]
        return fc_comparison(found[0], found[1], names=names)

    return [
        Table(lambda: difference_rows(one.data, other.data), "What is not the same"),
        Figure(rates, desk.key(one, other),
               "Mean rate of every chosen region in both runs; on the dashed line they agree."),
        Figure(together, desk.key(one, other, regions=False),
               "Functional connectivity of both, and their difference."),
    ]  # fmt: skip

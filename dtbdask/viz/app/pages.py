"""Which pages there are: those that the stores give something to show on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dtbdask.viz.app.activity import activity
from dtbdask.viz.app.bold import bold
from dtbdask.viz.app.brain import Brain
from dtbdask.viz.app.compare import compare
from dtbdask.viz.app.desk import Desk
from dtbdask.viz.app.fit import fit
from dtbdask.viz.app.network import network
from dtbdask.viz.app.neurons import QUANTITIES, neurons
from dtbdask.viz.app.overview import overview
from dtbdask.viz.app.statistics import statistics

if TYPE_CHECKING:
    from dtbdask.viz.app.choice import Choice
    from dtbdask.viz.app.desk import Part
    from dtbdask.viz.app.study import Study


class Pages:
    """Pages of one session.

    Parameters
    ----------
    study : Study
    choice : Choice

    Attributes
    ----------
    brain : Brain or None
    """

    def __init__(self, study: Study, choice: Choice) -> None:
        self._desk = Desk(study, choice)
        self.brain = Brain(self._desk) if study.stores else None

    def all(self) -> dict[str, list[Part]]:
        """Parts of each page, by its name."""
        desk, study = self._desk, self._desk.study
        pages: dict[str, list[Part]] = {"Overview": overview(desk)}
        if study.network is not None or study.brain is not None:
            pages["Network"] = network(desk)
        if study.runs:
            run = study.runs[0]
            pages["Activity"] = activity(desk, run)
            pages["Statistics"] = statistics(desk, run)
            if set(QUANTITIES) & set(run.data):
                pages["Neurons"] = neurons(desk, run)
            if "bold" in run.data:
                pages["BOLD"] = bold(desk, run)
        if study.fits:
            pages["Fit"] = fit(desk, study.fits[0])
        if self.brain is not None and self.brain.scenes.names:
            pages["Brain"] = self.brain.parts()
        if len(study.runs) > 1:
            pages["Compare"] = compare(desk, *study.runs)
        return {name: parts for name, parts in pages.items() if parts}

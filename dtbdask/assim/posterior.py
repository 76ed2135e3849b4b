"""The posterior store, written frame by frame; `dtbdask.assim.opening` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.assim.evidence import ahead_scores, held_scores
from dtbdask.assim.opening import open_posterior
from dtbdask.assim.scores import FIRST, forecast_scores, parameter_error
from dtbdask.assim.settings import Settings
from dtbdask.sim.record import Column

Floats = NDArray[np.float64]

ROWS = 16
"""Frames of a chunk of the posterior."""


class Posterior:
    """A posterior on its way to disk.

    Parameters
    ----------
    path : path
    group : zarr.Group
        Open for writing; arrays that are there are taken up.
    settings : Settings
    """

    def __init__(self, path: str | Path, group: zarr.Group, settings: Settings) -> None:
        self.path, self.group, self._settings = Path(path), group, settings
        k, m, n = settings.members, len(settings.names), settings.n_voxels
        tails = {
            "parameter_value": (k, m, n),
            **dict.fromkeys(("bold_forecast", "bold_analysis", "rate"), (k, n)),
            **({"bold_free": (k, n)} if settings.free else {}),
            **({"bold_ahead": (k, n)} if settings.ahead else {}),
            **({"parameter_smoothed": (k, m, n)} if settings.lag else {}),
        }
        self._columns = {
            name: Column(group, schema.POSTERIOR[name], tail, ROWS) for name, tail in tails.items()
        }

    @classmethod
    def new(
        cls, path: str | Path, settings: Settings, about: dict[str, Any], tables: dict[str, Any],
        *, overwrite: bool,
    ) -> Posterior:  # fmt: skip
        """A posterior that begins.

        Parameters
        ----------
        path : path
        settings : Settings
        about : dict
            What its root says beside the settings.
        tables : dict of str to ndarray
            Arrays that are known already, by their names.
        overwrite : bool
        """
        root = {**about, **settings.told()}
        group = schema.create_store(path, "posterior", root, overwrite=overwrite)
        every = {**tables, "walk_correlation": settings.walk.correlation, "taper": settings.taper}
        for name, values in every.items():
            if values is not None:
                schema.write(group, schema.POSTERIOR[name], values)
        return cls(path, group, settings)

    def write(self, **values: Floats) -> None:
        """Append one frame to some of the arrays: (member, ...) each."""
        for name, value in values.items():
            if name in self._columns:
                self._columns[name].append(value[None])

    def rows(self) -> Iterator[tuple[str, int, Floats]]:
        """Name of each array, its rows on disk, and those that wait."""
        for name, column in self._columns.items():
            yield name, column.written, column.held

    def cut(self, name: str, written: int, held: Floats) -> None:
        """Go back to when an array had these rows."""
        self._columns[name].cut(written, held)

    def finish(self, **about: Any) -> xr.Dataset:
        """Write the rest and the scores, and mark the posterior complete.

        Parameters
        ----------
        **about
            What else its root is to say.
        """
        for column in self._columns.values():
            column.finish()
        schema.update_root(self.group, scores=self._scores(), **about)
        schema.commit(self.group)
        return open_posterior(self.path)

    def _scores(self) -> dict[str, Any]:
        settings, group = self._settings, self.group
        y, at = schema.read(group, "bold_observed"), settings.observed
        whole = at.size == settings.n_voxels
        seen = slice(None) if whole else at
        scores: dict[str, Any] = {}
        if len(y) > FIRST + 1 and at.size > 1:
            for name, array in (("forecast", "bold_forecast"), ("free", "bold_free")):
                if array in group:
                    told = schema.read(group, array)
                    scores[name] = forecast_scores(told[:, :, seen], y[:, seen])
        if len(y) > FIRST + 1 and not whole:
            wired = settings.walk.correlation
            scores["held"] = held_scores(schema.read(group, "bold_analysis"), y, at, wired)
        if settings.ahead:
            ahead = schema.read(group, "bold_ahead")[:, :, at]
            scores["ahead"] = ahead_scores(ahead, y[:, at], settings.ahead)
        if "parameter_truth" in group:
            scores |= self._parameter_errors()
        return scores

    def _parameter_errors(self) -> dict[str, float]:
        low, high = np.array(list(self._settings.bounds.values())).T[:, :, None]
        truth, last = schema.read(self.group, "parameter_truth"), self._columns["parameter_value"]
        values = {
            "posterior": schema.read(self.group, "parameter_value", last.written - 1)[0],
            "prior": schema.read(self.group, "parameter_prior"),
        }
        return {
            f"parameter_error_{name}": parameter_error(h, truth, low, high)["error"]
            for name, h in values.items()
        }

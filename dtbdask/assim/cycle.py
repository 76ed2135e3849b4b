"""The forecast-analysis cycle: an ensemble of a network is led along a measured BOLD signal.

Frame by frame: the hyper-parameters take a step of their random walk, all members run one TR, and
the filter corrects, voxel by voxel, the hyper-parameters (as z, unbounded) together with the
haemodynamic state; neurons are never corrected. Beside it, if asked, runs the same prior ensemble
without any update: what the fit is worth is the difference between the two. The steps themselves
are in `dtbdask.assim.fit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import ArrayLike, NDArray

from dtbdask import schema
from dtbdask.assim import keeping
from dtbdask.assim.analysis import Analysis, Method
from dtbdask.assim.ensemble import Ensemble, spread_between
from dtbdask.assim.fit import Fit
from dtbdask.assim.hyper import Fixed, chosen_voxels, populations_of
from dtbdask.assim.observe import Observation, observe
from dtbdask.assim.opening import open_posterior
from dtbdask.assim.posterior import ROWS, Posterior
from dtbdask.assim.settings import Settings
from dtbdask.assim.walk import Walk
from dtbdask.errors import InputError, StoreError, whole_number
from dtbdask.graph.identity import identity
from dtbdask.graph.network import Network, open_network
from dtbdask.sim.moments import writing

__all__ = ["ROWS", "assimilate", "default_bounds", "resume_fit"]

Floats = NDArray[np.float64]


def assimilate(
    network: Network,
    bold: xr.DataArray | Observation,
    client: Any = None,
    *,
    to: str | Path,
    parameters: Sequence[str] = ("g_ampa",),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    members: int = 32,
    method: Method = "dhmda",
    rho: float = 0.8,
    walk: float | Walk = 0.25,
    warm_up_frames: int = 6,
    gamma_shape: float | None = 5.0,
    free: bool = True,
    truth: Floats | None = None,
    seed: int = 0,
    start: str = "log",
    transform: str = "logit",
    window: str = "last",
    observed: Sequence[str | int] | None = None,
    voxels: Sequence[str | int] | None = None,
    taper: ArrayLike | None = None,
    inflation: float = 1.0,
    lag: int = 0,
    ahead: int = 0,
    fixed: Fixed | None = None,
    checkpoint_every: int | None = None,
    device: str = "auto",
    threads: int = 1,
    overwrite: bool = False,
) -> xr.Dataset:
    """Fit hyper-parameters of a network to BOLD.

    Parameters
    ----------
    network : Network
    bold : xarray.DataArray (frame, voxel) or Observation
        Measured BOLD with its `tr_s` as attribute, which is put on the model's scale by `observe`;
        or an observation that is on it already.
    client : distributed.Client, optional
        Cluster to divide the members among.
    to : path
        Store of the posterior.
    parameters : sequence of str
        Hyper-parameters, one value for each voxel: "g_ampa", of all its populations, or "g_ampa E",
        "g_ampa L5E", of some.
    bounds : mapping of str to (float, float), optional
        Bounds of the hyper-parameters; by default a quarter and twice the value in the network.
    members : int
        Members of the ensemble.
    method : {"dhmda", "etkf", "denkf", "enkf", "letkf"}
        DTB's diffusion filter; another filter in each voxel on its own; or the local filter, which
        takes the observations that `taper` lets through.
    rho : float
        Weight of a voxel's own correction in `dhmda`.
    walk : float or Walk
        Variance of a step of the random walk of z; or a walk with memory, momentum, correlation.
    warm_up_frames : int
        Frames run before the first observation.
    gamma_shape : float or None
        Shape of the gamma-distributed factors of the neurons; None for none.
    free : bool
        Also run the prior ensemble without updates.
    truth : (parameter, voxel) float64, optional
        Hidden truth of a twin experiment; only stored and scored against.
    seed : int
        Of the noise, the prior's order and the perturbations.
    start : {"log", "middle"}
        The members' prior; see `dtbdask.assim.ensemble.spread_between`.
    transform : {"logit", "log"}
        Map of hyper-parameters to z; see `dtbdask.assim.transform`.
    window : {"last", "mean"}
        What is observed of a frame: BOLD at its end, or its mean over the frame.
    observed : sequence of str or int, optional
        Voxels whose BOLD the filter sees, by label or index; by default all. The others are scored.
    voxels : sequence of str or int, optional
        Voxels whose hyper-parameters are fitted; by default all. The others keep the network's.
    taper : (voxel, voxel) array_like, optional
        What an observation of the second voxel counts for the first, 0 to 1, in "letkf".
    inflation : float
        Multiplies the anomalies after each update.
    lag : int
        Frames after a frame whose observations still correct its hyper-parameters, as
        `parameter_smoothed`; 0 for none.
    ahead : int
        Frames that a further ensemble runs ahead of the observations, as `bold_ahead`: every so
        many frames it sets out from the fitted members; 0 for none.
    fixed : Fixed, optional
        Hyper-parameters of an earlier stage, which stay.
    checkpoint_every : int, optional
        Frames between checkpoints, from which `resume_fit` goes on.
    device : {"auto", "cpu", "cuda"}
    threads : int
        Of this process, or of each worker, on the CPU. The posterior does not depend on it.
    overwrite : bool
        Replace a posterior that is there.

    Returns
    -------
    xarray.Dataset
        The posterior, lazy; see `open_posterior`.

    Raises
    ------
    InputError
        A value is wrong; nothing was written.
    """
    observation = bold if isinstance(bold, Observation) else observe(bold)
    n_voxels = len(network.labels)
    if observation.y.shape[1] != n_voxels:
        raise InputError(f"bold has {observation.y.shape[1]} voxels, the network {n_voxels}")
    settings = Settings(
        bounds=default_bounds(network, parameters, bounds),
        walk=walk if isinstance(walk, Walk) else Walk(walk),
        voxels=chosen_voxels(network, voxels),
        observed=chosen_voxels(network, observed),
        n_voxels=n_voxels, members=members, method=method, rho=rho, warm_up_frames=warm_up_frames,
        gamma_shape=gamma_shape, free=free, seed=seed, start=start, transform=transform,
        window=window, inflation=inflation, lag=lag, ahead=ahead, fixed=fixed,
        taper=None if taper is None else np.asarray(taper, dtype=np.float64),
        checkpoint_every=checkpoint_every,
    )  # fmt: skip
    whole_number("seed", seed, 0, 2**64 - 1)
    prior = spread_between(settings.bounds, members, n_voxels, seed, start)
    if truth is not None and (truth.shape != prior.shape[1:] or not (truth > 0).all()):
        raise InputError(
            f"truth has shape {truth.shape}; expected positive values of {prior.shape[1:]}"
        )
    tables = {"bold_observed": observation.y, "parameter_prior": prior, "parameter_truth": truth}
    about = {
        "network": network.path, **identity(network), "labels": list(network.labels),
        "tr_s": observation.tr_s, "error_variance": observation.error.tolist(),
    }  # fmt: skip
    _check_analysis(settings, observation)
    with _ensemble(network, client, settings, observation.tr_s, device, threads) as ensemble:
        if checkpoint_every is not None:
            keeping.check_free(to, overwrite=overwrite)
        posterior = Posterior.new(to, settings, about, tables, overwrite=overwrite)
        if checkpoint_every is not None:
            keeping.discard(to)
        fit = Fit(ensemble, observation, settings, prior, posterior)
        fit.run()
        ran_on = ensemble.session.device
    return posterior.finish(seconds=fit.seconds, device=ran_on)


def resume_fit(
    path: str | Path,
    network: Network | None = None,
    client: Any = None,
    *,
    device: str = "auto",
    threads: int = 1,
) -> xr.Dataset:
    """Finish a fit that was cut short, from the last of its checkpoints.

    The posterior equals, array for array, that of a fit that was never interrupted. One that is
    finished already is left as it is.

    Parameters
    ----------
    path : path
        The posterior, of a fit with `checkpoint_every`.
    network : Network, optional
        By default that at the path where it was.
    client : distributed.Client, optional
        Cluster to divide the members among; it may be another one.
    device : {"auto", "cpu", "cuda"}
    threads : int
        Of this process, or of each worker, on the CPU.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    StoreError
        It is no posterior, or there is no complete checkpoint of it.
    InputError
        The network is another one.
    """
    root = schema.root_of(schema.open_store(path, "posterior", status="any"))
    if root["status"] == "complete":
        return open_posterior(path)
    if root.get("checkpoint_every") is None:
        raise StoreError(f"{path}: its fit kept no checkpoints; run it again, with overwrite")
    network = open_network(root["network"]) if network is None else network
    with writing(path):
        group = zarr.open_group(Path(path), mode="r+", zarr_format=3)
        arrays = {
            name: schema.read(group, name) if name in group else None
            for name in ("walk_correlation", "taper")
        }
        settings = Settings.of_root(root, arrays["walk_correlation"], arrays["taper"])
        error, y = np.array(root["error_variance"]), schema.read(group, "bold_observed")
        observation = Observation(y, error, root["tr_s"])
        posterior, prior = Posterior(path, group, settings), schema.read(group, "parameter_prior")
        with _ensemble(network, client, settings, observation.tr_s, device, threads) as ensemble:
            fit = Fit(ensemble, observation, settings, prior, posterior)
            keeping.put_back(fit)
            fit.run()
            ran_on = ensemble.session.device
        return posterior.finish(seconds=fit.seconds, device=ran_on)


def _check_analysis(settings: Settings, observation: Observation) -> None:
    """Refuse what the analysis would refuse, before anything is begun."""
    Analysis(
        settings.method, observation.error, settings.observed, rho=settings.rho,
        inflation=settings.inflation, taper=settings.taper, correlation=settings.walk.correlation,
    )  # fmt: skip


def _ensemble(
    network: Network, client: Any, settings: Settings, tr_s: float, device: str, threads: int
) -> Ensemble:
    return Ensemble(
        network, client, parameters=settings.names, members=settings.members * settings.groups,
        seed=settings.seed, tr_s=tr_s, gamma_shape=settings.gamma_shape, window=settings.window,
        voxels=settings.voxels.tolist(), fixed=settings.fixed, device=device,
        threads=threads,
    )  # fmt: skip


def default_bounds(
    network: Network,
    parameters: Sequence[str],
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, tuple[float, float]]:
    """Bounds of hyper-parameters: those given, else a quarter and twice the network's value.

    Parameters
    ----------
    network : Network
    parameters : sequence of str
        Names.
    bounds : mapping of str to (float, float), optional
        Bounds of some of them.

    Returns
    -------
    dict of str to (float, float)

    Raises
    ------
    InputError
        An unknown name, no name, or bounds that are not positive and in order.
    """
    limits = {}
    for name in bounds or {}:
        if name not in parameters:
            raise InputError(f"bounds has {name!r}, which is none of the parameters fitted")
    for name in parameters:
        parameter = name.split(" ", 1)[0]
        if parameter not in network.parameters.population:
            raise InputError(f"parameters: {name!r} is no parameter of the network")
        at = populations_of(network, name)
        value = float(network.parameters.population[parameter][at].mean())
        low, high = (bounds or {}).get(name, (value / 4, value * 2))
        if not 0 < low < high:
            raise InputError(f"bounds of {name} are ({low:g}, {high:g}); expected 0 < low < high")
        limits[name] = (float(low), float(high))
    if not limits:
        raise InputError("parameters is empty; name at least one")
    return limits

"""The forecast-analysis cycle: an ensemble of a network is led along a measured BOLD signal.

Frame by frame: the hyper-parameters take a step of their random walk, all members run one TR, and
the filter corrects, voxel by voxel, the hyper-parameters (as z, unbounded) together with the
haemodynamic state; neurons are never corrected. Beside it, if asked, runs the same prior ensemble
without any update: what the fit is worth is the difference between the two.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from dtbdask import progress, rng, schema
from dtbdask.assim.ensemble import Ensemble, Forecast, spread_between
from dtbdask.assim.filters import denkf, dhmda, enkf, etkf
from dtbdask.assim.observe import Observation, observe
from dtbdask.assim.scores import forecast_scores, parameter_error
from dtbdask.assim.transform import Logit, random_walk
from dtbdask.errors import InputError, whole_number
from dtbdask.graph.identity import identity
from dtbdask.graph.network import Network
from dtbdask.sim.bold import Balloon
from dtbdask.sim.record import Column

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Method = Literal["etkf", "denkf", "enkf", "dhmda"]

ROWS = 16
"""Frames of a chunk of the posterior."""


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
    walk: float = 0.25,
    warm_up_frames: int = 6,
    gamma_shape: float | None = 5.0,
    free: bool = True,
    truth: Floats | None = None,
    seed: int = 0,
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
        Hyper-parameters, one value for each voxel.
    bounds : mapping of str to (float, float), optional
        Bounds of the hyper-parameters; by default a quarter and twice the value in the network.
    members : int
        Members of the ensemble.
    method : {"dhmda", "etkf", "denkf", "enkf"}
        DTB's diffusion filter, or another filter in each voxel on its own.
    rho : float
        Weight of a voxel's own correction in `dhmda`.
    walk : float
        Variance of a step of the random walk of z.
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
    limits = default_bounds(network, parameters, bounds)
    n_frames, n_voxels = observation.y.shape
    if n_voxels != len(network.labels):
        raise InputError(f"bold has {n_voxels} voxels, the network {len(network.labels)}")
    if method not in get_args(Method):
        raise InputError(f"method is {method!r}; use one of {get_args(Method)}")
    members = whole_number("members", members, 2, 2**15)
    warm_up_frames = whole_number("warm_up_frames", warm_up_frames, 0)
    _check(rho, walk, gamma_shape)
    prior = spread_between(limits, members, n_voxels, seed)
    logit = Logit(*np.array(list(limits.values())).T[:, :, None])
    about = {
        "network": network.path, **identity(network),
        "labels": list(network.labels), "parameters": list(limits), "bounds": limits,
        "method": method, "members": members, "rho": rho, "walk": walk,
        "warm_up_frames": warm_up_frames,
        "gamma_shape": gamma_shape, "seed": seed, "tr_s": observation.tr_s,
        "error_variance": observation.error.tolist(), "free": free,
    }  # fmt: skip
    if truth is not None and (np.shape(truth) != prior.shape[1:] or not (truth > 0).all()):
        raise InputError(
            f"truth has shape {np.shape(truth)}; expected positive values of {prior.shape[1:]}"
        )
    doubled = np.concatenate([prior, prior]) if free else prior
    with (
        Ensemble(network, client, parameters=tuple(limits), members=len(doubled), seed=seed,
                 tr_s=observation.tr_s, gamma_shape=gamma_shape) as ensemble,
        progress.track("Assimilating", warm_up_frames + n_frames, "frames") as done,
    ):  # fmt: skip
        store = _Store(to, about, observation.y, prior, truth, free=free, overwrite=overwrite)
        ensemble.put(doubled)
        for _ in range(warm_up_frames):
            ensemble.forecast()
            done(1)
        z = logit.to_z(prior)
        for frame, y in enumerate(observation.y):
            z = random_walk(z, walk, rng.generator(seed, "walk", frame))
            ensemble.put(np.concatenate([logit.to_h(z), doubled[members:]]))
            forecast = ensemble.forecast()
            z, balloon = _analyse(
                method,
                z,
                forecast,
                y,
                observation.error,
                rho,
                rng.generator(seed, "analysis", frame),
            )
            ensemble.put_balloon(balloon)
            store.write(logit.to_h(z), forecast, balloon)
            done(1)
    return store.finish()


def open_posterior(path: str | Path) -> xr.Dataset:
    """A finished posterior as lazy, labelled arrays.

    Parameters
    ----------
    path : path

    Returns
    -------
    xarray.Dataset
        The arrays of `dtbdask.schema.POSTERIOR`; scores and settings are attributes.

    Raises
    ------
    StoreError
        Not a posterior, never finished, or damaged.
    """
    import dask.array as da

    group = schema.open_store(path, "posterior")
    root = schema.root_of(group)
    data = {
        name: (
            spec.dims,
            da.from_zarr(group[name]),
            {"units": spec.unit, "long_name": spec.meaning},
        )
        for name, spec in schema.POSTERIOR.items()
        if name in group
    }
    frames = np.arange(schema.array(group, "bold_observed").shape[0])
    coords = {
        "parameter": list(root.pop("parameters")),
        "voxel_label": ("voxel", list(root.pop("labels"))),
        "time_s": ("frame", (frames + 1) * root["tr_s"]),
    }
    return xr.Dataset(data, coords=coords, attrs=root)


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
        if name not in network.parameters.population:
            raise InputError(f"parameters: {name!r} is no parameter of the network")
        value = float(network.parameters.population[name].mean())
        low, high = (bounds or {}).get(name, (value / 4, value * 2))
        if not 0 < low < high:
            raise InputError(f"bounds of {name} are ({low:g}, {high:g}); expected 0 < low < high")
        limits[name] = (float(low), float(high))
    if not limits:
        raise InputError("parameters is empty; name at least one")
    return limits


def _check(rho: float, walk: float, gamma_shape: float | None) -> None:
    for name, value, right, wanted in (
        ("rho", rho, 0 <= rho <= 1, "0 to 1"),
        ("walk", walk, 0 <= walk < np.inf, "a variance, 0 or more"),
        (
            "gamma_shape",
            gamma_shape,
            gamma_shape is None or 0 < gamma_shape < np.inf,
            "None or > 0",
        ),
    ):
        if not right:
            raise InputError(f"{name} is {value}; expected {wanted}")


def _analyse(
    method: Method, z: Floats, forecast: Forecast, y: Floats, error: Floats, rho: float,
    generator: np.random.Generator,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Hyper-parameters of the members, and haemodynamic states of all, after the update.

    Parameters
    ----------
    z : (member, parameter, voxel) float64
    forecast : Forecast
        Of the members, and of those that are never updated after them.
    y, error : (voxel,) float64
    """
    members, n_parameters, _ = z.shape
    bold = forecast.bold[:members]
    state = np.concatenate([np.moveaxis(z, 1, 2), forecast.balloon[:members]], axis=2)
    if method == "dhmda":
        state = dhmda(state, bold, y, error, rho, generator)
    else:
        filters: dict[str, Callable[..., Floats]] = {
            "etkf": etkf, "denkf": denkf, "enkf": partial(enkf, generator=generator)
        }  # fmt: skip
        own = filters[method](state.swapaxes(0, 1), bold.T[:, :, None], y[:, None], error[:, None])
        state = own.swapaxes(0, 1)
    balloon = forecast.balloon.copy()
    balloon[:members] = state[:, :, n_parameters:]
    return np.moveaxis(state[:, :, :n_parameters], 2, 1), balloon


class _Store:
    """The posterior on its way to disk."""

    def __init__(
        self, path: str | Path, about: dict[str, Any], y: Floats, prior: Floats,
        truth: Floats | None, *, free: bool, overwrite: bool,
    ) -> None:  # fmt: skip
        self._path, self._truth, self._prior, self._y = path, truth, prior, y
        self._bounds = np.array(list(about["bounds"].values()))
        self._group = schema.create_store(path, "posterior", about, overwrite=overwrite)
        specs = schema.POSTERIOR
        schema.write(self._group, specs["bold_observed"], y)
        schema.write(self._group, specs["parameter_prior"], prior)
        if truth is not None:
            schema.write(self._group, specs["parameter_truth"], truth)
        members, n_parameters, n_voxels = prior.shape
        tails = {
            "parameter_value": (members, n_parameters, n_voxels),
            **dict.fromkeys(("bold_forecast", "bold_analysis", "rate"), (members, n_voxels)),
            **({"bold_free": (members, n_voxels)} if free else {}),
        }
        self._columns = {
            name: Column(self._group, specs[name], tail, ROWS) for name, tail in tails.items()
        }
        self._forecasts: list[Floats] = []
        self._frees: list[Floats] = []

    def write(self, h: Floats, forecast: Forecast, balloon: Floats) -> None:
        """Append one frame."""
        members = h.shape[0]
        analysed = Balloon(np.moveaxis(balloon[:members], -1, 0)).bold()
        values = {
            "parameter_value": h,
            "bold_forecast": forecast.bold[:members],
            "bold_analysis": analysed,
            "rate": forecast.rate[:members],
            "bold_free": forecast.bold[members:],
        }
        for name, column in self._columns.items():
            column.append(values[name][None])
        self._forecasts.append(values["bold_forecast"])
        self._frees.append(values["bold_free"])
        self._last = h

    def finish(self) -> xr.Dataset:
        """Write the rest and the scores, and mark the posterior complete."""
        for column in self._columns.values():
            column.finish()
        scores: dict[str, Any] = {}
        if len(self._y) > 3:
            scores["forecast"] = forecast_scores(np.array(self._forecasts), self._y)
            if "bold_free" in self._columns:
                scores["free"] = forecast_scores(np.array(self._frees), self._y)
        if self._truth is not None:
            low, high = self._bounds.T[:, :, None]
            for name, h in (("posterior", self._last), ("prior", self._prior)):
                scores[f"parameter_error_{name}"] = parameter_error(h, self._truth, low, high)[
                    "error"
                ]
        schema.update_root(self._group, scores=scores)
        schema.commit(self._group)
        return open_posterior(self._path)

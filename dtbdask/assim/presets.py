"""Settings of `dtbdask.assimilate` that are known to be good, or to be those of others.

Each gives what is to be passed on: `assimilate(network, bold, to=..., **dtb_rest(network))`.

`dtb_rest` and `dtb_task` are the stages of the Digital Twin Brain (Lu et al. 2024): from resting
BOLD conductances of all populations, then, with these fixed, the external current of the excitatory
populations of some input regions from their task BOLD. `two_stages` runs both. Their layouts are
those of the network: a region or voxel of two populations, a column, or a mixture of both.

`following` is ours for measured BOLD, which moves within seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from dtbdask.assim.cycle import assimilate
from dtbdask.assim.hyper import Fixed, chosen_voxels
from dtbdask.assim.observe import Observation, scale_bold
from dtbdask.assim.walk import Walk, connectome_correlation
from dtbdask.errors import InputError
from dtbdask.graph.network import Network

DTB_REST = (0.02, 0.05)
"""Range of the BOLD of all voxels at rest, in DTB."""
DTB_TASK = (0.05, 0.08)
"""And in a task, which asks for 24 to 60 Hz."""
DTB_CURRENT = (0.01, 0.3)
"""Bounds of the external current."""
BACKGROUND = (0.36, 0.72)
"""Bounds of the mean of the background current, mV/ms, for networks of default parameters: they
fire at some 2 to 40 Hz."""
DTB_ERROR = 1e-8
"""Variance of the observation error, which makes the filter copy the data."""


def dtb_rest(
    network: Network, conductances: Sequence[str] = ("g_ampa", "g_gaba_a"), members: int = 100
) -> dict[str, Any]:
    """Settings of DTB's stage of rest.

    One hyper-parameter for each conductance and slot (E and I of a voxel, or layers of a column),
    between a quarter and twice what the network has, from the middle third; each walks by itself.

    Parameters
    ----------
    network : Network
    conductances : sequence of str
    members : int

    Returns
    -------
    dict
    """
    names = [f"{g} {slot}" for g in conductances for slot in _living(network, excitatory=None)]
    return {
        "parameters": names, "members": members, "method": "dhmda", "rho": 0.8, "walk": 0.25,
        "start": "middle", "warm_up_frames": 5, "gamma_shape": 5.0,
    }  # fmt: skip


def dtb_task(
    network: Network, regions: Sequence[str | int], rest: xr.Dataset | None = None,
    members: int = 80,
) -> dict[str, Any]:  # fmt: skip
    """Settings of DTB's stage of a task.

    Parameters
    ----------
    network : Network
    regions : sequence of str or int
        Voxels that get the input; only these are observed.
    rest : xarray.Dataset, optional
        Posterior of the stage of rest, whose mean over frames from 50 on is kept.
    members : int

    Returns
    -------
    dict
    """
    inputs = _living(network, excitatory=True, voxel=chosen_voxels(network, regions))
    names = [f"i_ext {slot}" for slot in inputs]
    return {
        "parameters": names, "bounds": dict.fromkeys(names, DTB_CURRENT), "members": members,
        "method": "dhmda", "rho": 0.5, "walk": Walk(0.01, together=True), "start": "middle",
        "warm_up_frames": 5, "gamma_shape": 5.0, "voxels": list(regions),
        "observed": list(regions), "fixed": None if rest is None else Fixed.mean_of(rest),
    }  # fmt: skip


def dtb_observe(bold: xr.DataArray, between: tuple[float, float]) -> Observation:
    """Observation as DTB makes one: all voxels on one range, and an error of next to nothing.

    Parameters
    ----------
    bold : xarray.DataArray
        (frame, voxel) float, with the repetition time `tr_s`, s, as attribute.
    between : (float, float)
        `DTB_REST`, `DTB_TASK`, or another range.

    Returns
    -------
    Observation
    """
    if "tr_s" not in bold.attrs:
        raise InputError("bold has no attribute tr_s; set bold.attrs['tr_s'] to its TR in seconds")
    y = scale_bold(bold.transpose(..., "voxel").values, *between)
    return Observation(y, np.full(y.shape[1], DTB_ERROR), float(bold.attrs["tr_s"]))


def two_stages(
    network: Network, rest: xr.DataArray, task: xr.DataArray, regions: Sequence[str | int],
    client: Any = None, *, to: str | Path, changes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> tuple[xr.Dataset, xr.Dataset]:  # fmt: skip
    """Fit conductances to rest and then input currents to a task, as DTB does.

    Parameters
    ----------
    network : Network
    rest, task : xarray.DataArray
        (frame, voxel) float, BOLD with the attribute `tr_s`.
    regions : sequence of str or int
        Voxels that get the input of the task.
    client : distributed.Client, optional
    to : path
        Folder of the two posteriors, `rest.zarr` and `task.zarr`.
    changes : mapping, optional
        Settings of both stages that are to be others.
    overwrite : bool

    Returns
    -------
    rest, task : xarray.Dataset
        Posteriors.
    """
    folder, more = Path(to), {**(changes or {}), "overwrite": overwrite}
    folder.mkdir(parents=True, exist_ok=True)
    first = assimilate(
        network, dtb_observe(rest, DTB_REST), client, to=folder / "rest.zarr",
        **{**dtb_rest(network), **more},
    )  # fmt: skip
    second = assimilate(
        network, dtb_observe(task, DTB_TASK), client, to=folder / "task.zarr",
        **{**dtb_task(network, regions, first), **more},
    )  # fmt: skip
    return first, second


def following(connection: ArrayLike | None = None, members: int = 30) -> dict[str, Any]:
    """Settings for BOLD that is measured: parameters that follow it.

    What is fitted is the mean of the background current, to which rates answer nearly in
    proportion, from 1 to 40 Hz; conductances have a floor below which they change nothing, and a
    threshold above which a network of default parameters fires at full rate. The walk has momentum
    and a memory, and, given the connectome, voxels that are wired together walk together, so that
    those which are not observed are told by those that are. Later frames correct earlier ones, and
    forecasts run five frames ahead.

    Parameters
    ----------
    connection : array_like, optional
        (target, source) float.
    members : int

    Returns
    -------
    dict
    """
    wired = None if connection is None else connectome_correlation(connection)
    walk = Walk(1.0, memory=8, momentum=3, correlation=wired, centred=True, adapts=50)
    return {
        "parameters": ("ou_mean",), "bounds": {"ou_mean": BACKGROUND}, "gamma_shape": None,
        "members": members, "method": "etkf", "walk": walk, "lag": 6, "ahead": 5,
    }  # fmt: skip


def _living(
    network: Network, excitatory: bool | None, voxel: NDArray[np.int64] | None = None
) -> list[str]:
    """Slots that have neurons, of the excitatory populations or of all, in some voxels or all."""
    table = network.populations
    alive = table.size > 0
    if excitatory is not None:
        alive &= table.excitatory == excitatory
    if voxel is not None:
        alive &= np.isin(table.voxel, voxel)
    return [network.slots[k] for k in np.unique(table.slot[alive])]

"""A connectome of our own making, for demonstrations and tests where real data are absent.

It imitates statistics that structural connectomes share, and no brain in particular.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

from dtbdask.brain.contract import Reading, assemble
from dtbdask.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

VERSION = 1
"""Raised whenever the same parameters come to give another connectome."""

CENTRE, SEMI_AXES = (34.0, -18.0, 15.0), (30.0, 78.0, 50.0)
"""Ellipsoid of the right hemisphere, mm: x to the right, y to the front, z up; mirrored left."""

LARGEST = 40_000.0
"""Fibres at which the count of a pair saturates."""

MODULES = 7
TR_S = 0.8


def synthetic_connectome(voxels: int = 90, frames: int = 200, seed: int = 0) -> xr.Dataset:
    r"""Make a connectome with BOLD.

    Voxels come in homologous pairs, left and right in turn, uniform in two mirrored ellipsoids. The
    number of fibres between voxels i and j at distance :math:`d_{ij}` is the whole part of
    :math:`n / (1 + n / 40000)`, where

    .. math:: n = \exp(6.5 - d_{ij} / 28\,\mathrm{mm} + 0.8 M_{ij} + 1.7 H_{ij} - 2.3 X_{ij}
              + 1.75\, z_{ij})

    with M = 1 within one of seven modules, H = 1 between homologues, X = 1 between hemispheres but
    not homologues, and z standard normal: heavy-tailed, modular, decaying exponentially with
    distance. BOLD is a linear network, :math:`y = 0.95\,W y + \epsilon`, with W the row-normalised
    connection and :math:`\epsilon` white noise filtered to 0.01-0.07 Hz, scaled to variance 1.

    At 90 voxels and 450 frames, over seeds, it comes near the 90-region file of DTB (its figures in
    brackets): 0.82 to 0.88 of the pairs are joined (0.845); non-zero counts have median 26 to 36
    (31), 95th percentile 1,450 to 2,200 (2,777), maximum 24,000 to 39,000 (28,258); the
    autocorrelation of BOLD at one frame is 0.95 to 0.97 (0.96); mean functional connectivity is
    0.68 to 0.79 (0.67), and its correlation with the log of the counts 0.39 to 0.58 (0.34).

    It is **not** an atlas: no voxel stands for a region, hubs are those of chance, counts are
    symmetric to the last fibre, tract lengths are given also where no fibre runs, grey matter is
    unrelated to fibres, and counts do not thin out as voxels get more. BOLD is stationary,
    Gaussian, free of artefacts and closer to the connectome than measured BOLD is; a fit to it
    proves nothing.

    Parameters
    ----------
    voxels : int
        Number of voxels, at least 1; an inverse of that order is taken.
    frames : int
        Number of BOLD frames of 0.8 s, at least 1. All but BOLD is the same for any number.
    seed : int
        From 0 to 2**128 - 1.

    Returns
    -------
    xarray.Dataset
        A brain with `connection`, `grey_matter`, `tract_length`, `xyz` and `bold_rest`.

    Raises
    ------
    InputError
        A parameter is out of range.
    """
    _refuse_outside("voxels", voxels, 1, 2**20)
    _refuse_outside("frames", frames, 1, 2**31)
    _refuse_outside("seed", seed, 0, 2**128 - 1)
    rng = np.random.Generator(np.random.Philox(key=seed))
    xyz, module = _places(voxels, rng)
    distance = np.linalg.norm(xyz[:, None] - xyz[None], axis=-1)
    connection = _fibres(distance, module, rng)
    tortuosity = _symmetric(rng.normal(1.25, 0.08, (voxels, voxels))).clip(1.05)
    pair, side = np.divmod(np.arange(voxels), 2)
    density = rng.normal(0.537, 0.07, voxels)[2 * pair] + rng.normal(0.0, 0.02, voxels)
    recipe = f"synthetic_connectome {VERSION} voxels={voxels} frames={frames} seed={seed}"
    reading = Reading(
        arrays={
            "connection": connection,
            "grey_matter": density.clip(0.3, 0.8),
            "label": np.array([f"{p + 1}_{'LR'[s]}" for p, s in zip(pair, side, strict=True)]),
            "tract_length": distance * tortuosity,
            "xyz": xyz,
            "bold_rest": _bold(connection, frames, rng),
        },
        attributes={
            "source": f"synthetic, {voxels} voxels, seed {seed}",
            "sha256": hashlib.sha256(recipe.encode()).hexdigest(),
            "licence": "",
        },
        details={
            "bold_rest": {
                "tr_s": TR_S,
                "tr_known": True,
                "long_name": "synthetic BOLD-like series",
                "note": "generated, not measured",
            }
        },
    )
    return assemble(reading)


def _refuse_outside(name: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, int | np.integer) or not least <= value <= most:
        raise InputError(f"{name} is {value}; expected an integer from {least} to {most}")


def _places(voxels: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Coordinates (voxel, axis), mm, and module (voxel) of homologous pairs."""
    pairs = (voxels + 1) // 2
    direction = rng.standard_normal((pairs, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    right = np.array(CENTRE) + np.array(SEMI_AXES) * direction * np.cbrt(rng.random((pairs, 1)))
    left = right * [-1, 1, 1] + rng.normal(0.0, 2.0, (pairs, 3))
    heart = right[rng.permutation(pairs)[:MODULES]]
    module = np.linalg.norm(right[:, None] - heart[None], axis=-1).argmin(axis=1)
    xyz = np.stack([left, right], axis=1).reshape(-1, 3)[:voxels]
    return xyz, np.repeat(module, 2)[:voxels]


def _fibres(
    distance: NDArray[np.float64], module: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Fibre counts (voxel, voxel_source); each voxel has at least one, to the nearest other."""
    index = np.arange(len(distance))
    within = module[:, None] == module[None]
    homologous = index[:, None] // 2 == index[None] // 2
    across = (index[:, None] % 2 != index[None] % 2) & ~homologous
    log_count = 6.5 - distance / 28.0 + 0.8 * within + 1.7 * homologous - 2.3 * across
    log_count += 1.75 * _symmetric(rng.standard_normal(distance.shape))
    count: NDArray[np.float64] = np.floor(1.0 / (np.exp(-log_count) + 1.0 / LARGEST))
    if len(count) > 1:
        nearest = (distance + np.diag(np.full(len(distance), np.inf))).argmin(axis=1)
        count[index, nearest] = count[index, nearest].clip(1)
        count[nearest, index] = count[index, nearest]
    np.fill_diagonal(count, 0.0)
    return count


def _symmetric(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mirror the part above the diagonal; the diagonal is 0."""
    upper: NDArray[np.float64] = np.triu(values, 1)
    return upper + upper.T


def _bold(
    connection: NDArray[np.float64], frames: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Band-passed noise mixed along the connection: (frame, voxel), variance 1."""
    warm_up = 250
    band = signal.butter(2, (0.01, 0.07), "bandpass", fs=1.0 / TR_S, output="sos")
    gain = np.linalg.norm(signal.sosfilt(band, np.eye(1, 4 * warm_up)[0]))
    white = rng.standard_normal((warm_up + frames, len(connection)))
    noise = signal.sosfilt(band, white, axis=0)[warm_up:] / gain
    inflow = connection / connection.sum(axis=1, keepdims=True).clip(1.0)
    mixing = np.linalg.inv(np.eye(len(connection)) - 0.95 * inflow)
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    return np.asarray(noise @ mixing.T)

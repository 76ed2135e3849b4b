"""Measured BOLD as the filter sees it: on the model's scale, with an error taken from the data.

An fMRI scanner delivers intensities whose level and gain depend on coil, sequence and tissue; the
model's BOLD is a relative change of some 0.01 to 0.06. The two have no common unit, so what a fit
can use of a measured series is its course in time. `prepare_bold` gives every voxel the centre and
spread of the model's own BOLD; `scale_bold` is the joint min-max scaling of the Digital Twin Brain.

The error of an observation is a property of the data too. The Digital Twin Brain sets its variance
to 1e-8, far below the variance between members, and so makes its filter copy the data. Here
`estimate_error` takes it from the data. It reads what changes from frame to frame, so give it raw
series: on band-passed ones it finds almost no error, which is no licence to trust them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.signal import butter, sosfiltfilt

from dtbdask.errors import InputError

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

PAD = 15
"""Frames by which the band-pass extends a series at either end; the series must be longer."""


@dataclass(frozen=True, eq=False)
class Observation:
    """Observed BOLD and how far to trust it.

    Parameters
    ----------
    y : ndarray
        (frame, voxel) float64, 1. BOLD on the model's scale.
    error : ndarray
        (voxel,) float64, 1. Variance of the observation error, positive.
    tr_s : float
        Repetition time: seconds between two frames.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, an error or `tr_s` is not positive.
    """

    y: Floats
    error: Floats
    tr_s: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "y", _checked(self.y, fewest=1))
        object.__setattr__(self, "error", np.asarray(self.error, dtype=np.float64))
        _check_tr(self.tr_s)
        if self.error.shape != self.y.shape[1:]:
            raise InputError(f"error has shape {self.error.shape}; y asks for {self.y.shape[1:]}")
        if not ((self.error > 0) & (self.error < np.inf)).all():
            wrong = self.error[~((self.error > 0) & (self.error < np.inf))]
            raise InputError(f"error is {wrong[0]}; every variance must be positive and finite")


def scale_bold(bold: ArrayLike, low: float, high: float, joint: bool = True) -> Floats:
    """Scale BOLD linearly onto a range, y = low + (high - low) (bold - min) / (max - min).

    Parameters
    ----------
    bold : array_like
        (frame, voxel) float, any unit.
    low, high : float
        Range of the result, in the model's BOLD; the Digital Twin Brain uses (0.02, 0.05) for rest
        and (0.05, 0.08) for task.
    joint : bool
        One min and max over all voxels, as the Digital Twin Brain does: keeps the ratio of the
        voxels' amplitudes, and lets one outlier set the scale of all. If False, those of each.

    Returns
    -------
    y : ndarray
        (frame, voxel) float64, 1.

    Raises
    ------
    InputError
        A value is not finite, the range is empty, or the data (or a voxel) are constant.
    """
    y = _checked(bold, fewest=2)
    if not -np.inf < low < high < np.inf:
        raise InputError(f"range is ({low}, {high}); low must be below high, both finite")
    if joint and np.ptp(y) == 0:
        raise InputError(f"bold is constant ({y[0, 0]}); there is nothing to scale")
    if not joint:
        _refuse_constant(y)
    axis = None if joint else 0
    scaled: Floats = low + (high - low) * (y - y.min(axis=axis)) / np.ptp(y, axis=axis)
    return scaled


def standardise(bold: ArrayLike) -> Floats:
    """Z-score of each voxel: mean 0, standard deviation 1 (over n frames, not n - 1).

    Parameters
    ----------
    bold : array_like
        (frame, voxel) float, any unit.

    Returns
    -------
    z : ndarray
        (frame, voxel) float64, 1.

    Raises
    ------
    InputError
        A value is not finite, a voxel is constant, or there are fewer than 2 frames.
    """
    y = _checked(bold, fewest=2)
    _refuse_constant(y)
    z: Floats = (y - y.mean(axis=0)) / y.std(axis=0)
    return z


def band_pass(bold: ArrayLike, tr_s: float, low_hz: float, high_hz: float) -> Floats:
    """Zero-phase Butterworth band-pass, order 2, run forwards and backwards.

    A filtered frame contains frames that come after it. Forecasts of band-passed data are easier
    than forecasts of what was measured: compare them with persistence on the same data.

    Parameters
    ----------
    bold : array_like
        (frame, voxel) float, any unit.
    tr_s : float
        Seconds between two frames.
    low_hz, high_hz : float
        Band that is kept; the resting state is usually read from 0.01 to 0.08 Hz.

    Returns
    -------
    y : ndarray
        (frame, voxel) float64, unit of the input, mean about 0.

    Raises
    ------
    InputError
        The band does not lie between 0 and the Nyquist frequency 1 / (2 tr_s), a voxel is constant,
        a value is not finite, or there are too few frames.
    """
    _check_tr(tr_s)
    nyquist = 0.5 / tr_s
    if not 0 < low_hz < high_hz < nyquist:
        raise InputError(
            f"band is {low_hz} to {high_hz} Hz; with tr_s = {tr_s} it must lie, rising, between 0 "
            f"and {nyquist:.4g} Hz"
        )
    y = _checked(bold, fewest=PAD + 1)
    _refuse_constant(y)
    sections = butter(2, (low_hz, high_hz), btype="bandpass", fs=1 / tr_s, output="sos")
    return np.asarray(sosfiltfilt(sections, y, axis=0, padlen=PAD), dtype=np.float64)


def prepare_bold(
    bold: ArrayLike,
    tr_s: float,
    *,
    centre: ArrayLike,
    spread: ArrayLike,
    band: tuple[float, float] | None = None,
) -> Floats:
    """Put measured BOLD on the model's scale, y = centre + spread z, z the score of each voxel.

    Raw scanner intensities have no common unit with the model's BOLD, a relative change: their
    level and gain differ from voxel to voxel for reasons that are not neural. The z-score drops
    both. Centre and spread come from the model, so that a fit explains the course of the signal
    and not the units: take the mean and the standard deviation over time of a free run.

    Parameters
    ----------
    bold : array_like
        (frame, voxel) float, any unit.
    tr_s : float
        Seconds between two frames.
    centre, spread : array_like
        () or (voxel,) float, 1. Mean and standard deviation of the model's BOLD.
    band : (float, float), optional
        Band in Hz to keep first (see `band_pass`).

    Returns
    -------
    y : ndarray
        (frame, voxel) float64, 1.

    Raises
    ------
    InputError
        As `standardise` and `band_pass`; or the centre is not finite, the spread not positive, or
        either is neither one value nor one for each voxel.
    """
    _check_tr(tr_s)
    z = standardise(bold if band is None else band_pass(bold, tr_s, *band))
    m, s = np.asarray(centre, dtype=np.float64), np.asarray(spread, dtype=np.float64)
    for name, a in (("centre", m), ("spread", s)):
        if a.shape not in ((), z.shape[1:]):
            raise InputError(f"{name} has shape {a.shape}; give one value or {z.shape[1]}")
    if not (np.isfinite(m).all() and np.isfinite(s).all() and (s > 0).all()):
        raise InputError(f"centre is {m}, spread {s}; give finite values, spread positive")
    return m + s * z


def estimate_error(y: ArrayLike) -> Floats:
    """Variance of the observation error of each voxel, var(y_t - 2 y_t+1 + y_t+2) / 6.

    For a signal plus white noise of variance s2 the second difference has variance
    (1 + 4 + 1) s2 plus that of the signal's curvature, which is small where the signal is smooth
    between frames (the order-2 difference sequence of Gasser, Sroka and Jennen-Steinmetz 1986,
    Biometrika 73, 625-633). So the estimate is too high, by a sixth of the variance of the signal's
    second difference; and too low on series that were band-passed, whose remaining noise is as
    smooth as the signal: estimate before filtering where that is possible.

    Parameters
    ----------
    y : array_like
        (frame, voxel) float, any unit.

    Returns
    -------
    error : ndarray
        (voxel,) float64, squared unit of `y`. Positive.

    Raises
    ------
    InputError
        A value is not finite, there are fewer than 4 frames, or the second differences of a voxel
        do not vary, which no measured series does.
    """
    values = _checked(y, fewest=4)
    _refuse_constant(np.diff(values, n=2, axis=0), "of constant second difference")
    error: Floats = np.diff(values, n=2, axis=0).var(axis=0) / 6
    return error


def _checked(bold: ArrayLike, fewest: int) -> Floats:
    y = np.asarray(bold, dtype=np.float64)
    if y.ndim != 2 or y.shape[1] == 0:
        raise InputError(f"bold has shape {y.shape}; it must be (frame, voxel)")
    if len(y) < fewest:
        raise InputError(f"bold has {len(y)} frames; at least {fewest} are needed")
    wrong = np.argwhere(~np.isfinite(y))
    if len(wrong):
        frame, voxel = wrong[0]
        raise InputError(
            f"bold is {y[frame, voxel]} at frame {frame}, voxel {voxel} and not finite in "
            f"{len(wrong)} places; every value must be finite"
        )
    return y


def _refuse_constant(y: Floats, what: str = "constant") -> None:
    voxels = np.flatnonzero(np.ptp(y, axis=0) == 0).tolist()
    if voxels:
        named = ", ".join(map(str, voxels[:8])) + (", ..." if len(voxels) > 8 else "")
        raise InputError(f"bold is {what} in {len(voxels)} voxels ({named}); leave them out")


def _check_tr(tr_s: float) -> None:
    if not 0 < tr_s < np.inf:
        raise InputError(f"tr_s is {tr_s}; it must be positive and finite, in seconds")


def observe(
    bold: xr.DataArray,
    *,
    centre: float = 0.03,
    spread: float = 0.004,
    band: tuple[float, float] | None = None,
    frames: slice | None = None,
) -> Observation:
    """Observation of measured BOLD: on the model's scale, with the error estimated from the data.

    The default centre is the BOLD of a steady 12 Hz, near the rate of the default network; two
    standard deviations reach from 8 to 16 Hz. The scaling is logged, and it is one choice:
    the fit explains the course of the signal, not its level.

    Parameters
    ----------
    bold : xarray.DataArray
        (frame, voxel) float, any unit, with the repetition time `tr_s`, s, as attribute.
    centre, spread : float
        Mean and standard deviation on the model's scale, 1.
    band : (float, float), optional
        Band in Hz to keep.
    frames : slice, optional
        Frames to use, after scaling with all of them.

    Returns
    -------
    Observation

    Raises
    ------
    InputError
        The attribute `tr_s` is missing, or as `prepare_bold` and `estimate_error`.
    """
    if "tr_s" not in bold.attrs:
        raise InputError("bold has no attribute tr_s; set bold.attrs['tr_s'] to its TR in seconds")
    tr_s = float(bold.attrs["tr_s"])
    if bold.ndim != 2 or "voxel" not in bold.dims:
        raise InputError(f"bold has dimensions {bold.dims}; expected a frame and 'voxel'")
    series = bold.transpose(..., "voxel").values
    y = prepare_bold(series, tr_s, centre=centre, spread=spread, band=band)
    logger.info("BOLD of each voxel is scaled to mean %g and standard deviation %g", centre, spread)
    return Observation(y[frames or slice(None)], estimate_error(y), tr_s)

"""Figures of spike trains and rates: regularity, correlation, spectrum, wavelet; numbers only.

Definitions follow those that DTB's papers draw from, each with its source in words; all work on
arrays, so that a caller may take neurons, populations or regions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, signal

from dtbdask.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST_SPIKES = 3
"""Spikes that a neuron needs for its intervals to have a spread."""


def cv_of_intervals(step: ArrayLike, neuron: ArrayLike, fewest: int = FEWEST_SPIKES) -> Floats:
    """Coefficient of variation of the intervals between the spikes of each neuron.

    Standard deviation over mean: 0 for a clock, 1 for a Poisson process.

    Parameters
    ----------
    step, neuron : array_like
        (spike) int, steps ascending.
    fewest : int
        Spikes below which a neuron is left out.

    Returns
    -------
    cv : ndarray
        (neuron with so many spikes,) float64, 1, in the order of neurons.
    """
    time, owner = np.asarray(step, np.int64), np.asarray(neuron, np.int64)
    order = np.lexsort((time, owner))
    time, owner = time[order], owner[order]
    gap = np.diff(time)[np.diff(owner) == 0].astype(np.float64)
    _, n = np.unique(owner, return_counts=True)
    group = np.repeat(np.arange(n.size), n - 1)
    intervals = np.maximum(n - 1, 1)
    mean = np.bincount(group, gap, minlength=n.size) / intervals
    spread = np.bincount(group, (gap - mean[group]) ** 2, minlength=n.size) / intervals
    kept = n >= max(fewest, FEWEST_SPIKES)
    cv: Floats = np.sqrt(spread[kept]) / mean[kept]
    return cv


def pair_correlations(
    step: ArrayLike, neuron: ArrayLike, n_steps: int, *, width: int = 50, pairs: int = 200,
    seed: int = 0,
) -> Floats:  # fmt: skip
    """Pearson correlations of the spike counts of random pairs of neurons that fire.

    Parameters
    ----------
    step, neuron : array_like
        (spike) int; steps from 0.
    n_steps : int
    width : int
        Steps of a bin in which spikes are counted.
    pairs : int
        How many pairs, all different; fewer where there are fewer.
    seed : int

    Returns
    -------
    r : ndarray
        (pair,) float64, 1.

    Raises
    ------
    InputError
        Fewer than two neurons fire, or there are fewer than three bins.
    """
    time, owner = np.asarray(step, np.int64), np.asarray(neuron, np.int64)
    active = np.unique(owner)
    bins = n_steps // width
    if active.size < 2 or bins < 3:
        raise InputError(
            f"{active.size} neurons fire in {bins} bins of {width} steps; a correlation needs two "
            "neurons and three bins"
        )
    rng = np.random.default_rng(seed)
    total = active.size * (active.size - 1) // 2
    chosen = rng.choice(total, min(pairs, total), replace=False)
    high = ((1 + np.sqrt(1 + 8.0 * chosen)) // 2).astype(np.int64)  # of the triangle's rows
    high -= high * (high - 1) // 2 > chosen
    low = chosen - high * (high - 1) // 2
    members = np.unique(np.concatenate([low, high]))
    place = np.searchsorted(active[members], owner)
    place = np.minimum(place, members.size - 1)
    inside = (active[members][place] == owner) & (time < bins * width)
    count = np.zeros((members.size, bins))
    np.add.at(count, (place[inside], time[inside] // width), 1.0)
    count -= count.mean(axis=1, keepdims=True)
    norm = np.sqrt((count**2).sum(axis=1, keepdims=True))
    count = np.divide(count, norm, out=np.zeros_like(count), where=norm > 0)
    r: Floats = (count[np.searchsorted(members, low)] * count[np.searchsorted(members, high)]).sum(
        1
    )
    return r


def active_rate(
    neuron: ArrayLike, seconds: float, *, least_hz: float = 1.0, fewest: int = 10
) -> float:
    """Mean firing rate of the neurons that fire faster than a bound, Hz; 0 where these are few.

    Parameters
    ----------
    neuron : array_like
        (spike) int.
    seconds : float
        Length of the recording.
    least_hz : float
        Bound.
    fewest : int
        Neurons above it that are too few to speak of.
    """
    _, count = np.unique(np.asarray(neuron, np.int64), return_counts=True)
    rate = count / seconds
    active = rate[rate > least_hz]
    return float(active.mean()) if active.size > fewest else 0.0


def smooth_rate(
    rate: ArrayLike, dt_s: float, *, box_s: float = 0.005, deviation_s: float = 0.02
) -> Floats:
    """A rate through a box and then a Gaussian, both of which keep its mean.

    Parameters
    ----------
    rate : array_like
        (..., time) float, any unit.
    dt_s : float
        Time between two values.
    box_s : float
        Width of the box.
    deviation_s : float
        Standard deviation of the Gaussian.

    Returns
    -------
    smooth : ndarray
        (..., time) float64; at both ends the series is mirrored.
    """
    series = np.asarray(rate, np.float64)
    boxed = ndimage.uniform_filter1d(series, max(1, round(box_s / dt_s)), axis=-1)
    smooth: Floats = ndimage.gaussian_filter1d(boxed, deviation_s / dt_s, axis=-1)
    return smooth


def spectrum(rate: ArrayLike, dt_s: float, segment_s: float = 1.0) -> tuple[Floats, Floats]:
    """Power spectral density of rates by Welch's method: Hann windows that overlap by half.

    Parameters
    ----------
    rate : array_like
        (..., time) float, Hz.
    dt_s : float
        Time between two values.
    segment_s : float
        Length of a window; that of the series where it is shorter.

    Returns
    -------
    frequency : ndarray
        (frequency,) float64, Hz, without 0.
    power : ndarray
        (..., frequency) float64, Hz^2 / Hz.
    """
    series = np.asarray(rate, np.float64)
    n = min(series.shape[-1], max(8, round(segment_s / dt_s)))
    frequency, power = signal.welch(series, fs=1 / dt_s, nperseg=n, axis=-1)
    return frequency[1:], power[..., 1:]


def wavelet_power(
    rate: ArrayLike, dt_s: float, frequency_hz: ArrayLike, cycles: float = 6.0
) -> Floats:
    """Power of a rate over time and frequency, by complex Morlet wavelets.

    Each wavelet is exp(2 pi i f t) exp(-t^2 / 2 s^2), s = cycles / (2 pi f), scaled so that a sine
    of amplitude A gives A^2 at its frequency.

    Parameters
    ----------
    rate : array_like
        (time) float, Hz; its mean is taken off.
    dt_s : float
    frequency_hz : array_like
        (frequency) float, Hz, above 0 and up to half of 1 / dt_s.
    cycles : float
        Of a wavelet: more tell frequencies better apart, fewer times.

    Returns
    -------
    power : ndarray
        (frequency, time) float64, Hz^2.

    Raises
    ------
    InputError
        A frequency is out of range.
    """
    series = np.asarray(rate, np.float64)
    series = series - series.mean()
    power = np.empty((np.size(frequency_hz), series.size))
    for row, f in zip(power, np.ravel(np.asarray(frequency_hz, np.float64)), strict=True):
        if not 0 < f <= 0.5 / dt_s:
            raise InputError(f"frequency_hz holds {f:g}; give up to {0.5 / dt_s:g} Hz")
        spread = cycles / (2 * np.pi * f)
        half = max(1, min(int(np.ceil(4 * spread / dt_s)), series.size))
        t = np.arange(-half, half + 1) * dt_s
        envelope = np.exp(-(t**2) / (2 * spread**2))
        wavelet = np.exp(2j * np.pi * f * t) * envelope * (2 / envelope.sum())
        found = signal.fftconvolve(series, wavelet, mode="full")[half : half + series.size]
        row[:] = np.abs(found) ** 2
    return power

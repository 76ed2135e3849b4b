"""Comparison with the trajectory that DTB's own CPU model gives on one of its networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dtbdask.brain.npz import read_arrays
from dtbdask.errors import InputFileError
from dtbdask.graph.dtb.blocks import read_dtb
from dtbdask.sim.session import Session


@dataclass(frozen=True)
class Comparison:
    """How far a run follows the reference.

    Attributes
    ----------
    first_different_step : int or None
        First step, from 0, in which any neuron's spike differs; None if none does.
    max_abs_dv_mv : float
        Largest difference of a membrane potential over the steps that the reference keeps, mV.
    rate_relative_error : float
        Mean rate over the whole run, relative to the reference.
    """

    first_different_step: int | None
    max_abs_dv_mv: float
    rate_relative_error: float


def compare(folder: str | Path, *, dtype: str = "float64", blocks: int = 1) -> Comparison:
    """Run a DTB block folder and compare it with its `ref.npz`.

    Parameters
    ----------
    folder : path
        With `block_<i>.npz` and `ref.npz`: `spikes` (step, packed neuron) uint8, `V_first`
        (step, neuron) float64, mV, and `n`, the number of neurons.
    dtype : {"float64", "float32"}
        Of the state.
    blocks : int
        Blocks to cut the neurons into.

    Returns
    -------
    Comparison

    Raises
    ------
    InputFileError
        A file is missing, damaged, or does not fit the others.
    """
    network = read_dtb(folder)
    path = Path(folder) / "ref.npz"
    spikes, v = _reference(path, network.n_neurons)
    n = network.n_neurons
    first, largest, total = None, 0.0, 0
    with Session(network, dtype=dtype, blocks=blocks) as session:
        for step, expected in enumerate(spikes):
            window = session.advance(1, spikes=True)
            fired = np.zeros(n, bool)
            fired[window.spike_neuron] = True
            total += int(fired.sum())
            if first is None and (fired != expected).any():
                first = step
            if step < len(v):
                largest = max(largest, float(np.abs(session.state("v")[0] - v[step]).max()))
    return Comparison(first, largest, abs(total / max(int(spikes.sum()), 1) - 1))


def _reference(path: Path, n: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Spikes (step, neuron) and first membrane potentials (step, neuron) of a reference file."""
    arrays = read_arrays(path)
    missing = [name for name in ("spikes", "V_first", "n") if name not in arrays]
    if missing:
        raise InputFileError(f"{path}: lacks {', '.join(missing)}")
    packed, v, told = arrays["spikes"], arrays["V_first"], arrays["n"]
    if told.size != 1 or int(told.ravel()[0]) != n:
        raise InputFileError(f"{path}: n is {told.tolist()}, the blocks have {n:,} neurons")
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != -(-n // 8):
        raise InputFileError(
            f"{path}: spikes is {packed.dtype} {packed.shape}; expected uint8 (step, {-(-n // 8)})"
        )
    if not len(packed):
        raise InputFileError(f"{path}: spikes has no steps")
    if v.ndim != 2 or v.shape[1] != n or not np.isfinite(v).all():
        raise InputFileError(f"{path}: V_first is {v.shape}; expected finite (step, {n})")
    return np.unpackbits(packed, axis=1)[:, :n].astype(bool), v.astype(np.float64)

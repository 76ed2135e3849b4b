"""Weights of a network as DTB's types of weights: exactly, or not at all."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import progress
from dtbdask.errors import InputError
from dtbdask.graph.dtb.format import STRETCH, WEIGHTS
from dtbdask.graph.network import Network

logger = logging.getLogger(__name__)

FOLDERS = {"double": "float64", "single": "float32", "half": "float16", "int8": "uint8",
           "uint8": "uint8"}  # fmt: skip
"""Type of the weights that DTB's server expects below a folder whose name begins so."""


def decode(
    integer: NDArray[np.unsignedinteger], scale: float, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Weights of a type of DTB's; of uint8, the integer is the weight times 255.

    Parameters
    ----------
    integer : (synapse, pair) uint8 or uint32
    scale : float
        Weight of integer 1.
    dtype : numpy.dtype
    """
    if integer.dtype == dtype:
        return integer
    weight: NDArray[Any] = integer * np.float64(scale)
    if dtype == np.uint8:
        weight = np.rint(255 * np.minimum(weight, 1))
    with np.errstate(over="ignore"):
        return weight.astype(dtype)


def weight_type(network: Network, dtype: str | None, folder: Path) -> np.dtype[Any]:
    """Type of the weights in the files: one that holds them, and that the path tells DTB.

    Parameters
    ----------
    network : Network
    dtype : str, optional
        The one wanted; by default that of the import, else uint8 or float32.
    folder : path
        Where the files will be.

    Raises
    ------
    InputError
        There is no such type, it does not hold the weights, or the path says another.
    """
    own = network.wiring.weight_dtype
    natural = "uint8" if own == np.uint8 else "float32"
    name = str(network.attributes.get("weight_type", natural) if dtype is None else dtype)
    known = {kind.name: kind for kind in WEIGHTS}
    if name not in known:
        raise InputError(f"dtype is {name!r}; expected one of {', '.join(known)}")
    _check_path(folder, name)
    if known[name] != own:
        _check_exact(network, known[name])
    return known[name]


def _check_path(folder: Path, name: str) -> None:
    parts = folder.absolute().parts
    told = [start for start in FOLDERS if any(part.startswith(start) for part in parts)]
    if not told:
        right = next(start for start in reversed(FOLDERS) if FOLDERS[start] == name)
        logger.warning(
            "%s: DTB's server finds the type of the weights in the path: let a folder of it be "
            "called %s", folder, right,
        )  # fmt: skip
    elif FOLDERS[told[0]] != name:
        raise InputError(
            f"dtype is {name!r}, but because of {told[0]!r} in its path DTB's server takes "
            f"{folder} for one of {FOLDERS[told[0]]}; rename it, or use that type"
        )


def _check_exact(network: Network, dtype: np.dtype[Any]) -> None:
    """Refuse a type that does not hold the weights, and say which do."""
    scale = network.wiring.weight_scale
    if dtype == np.float64 and _is_binary(scale):
        return
    exact, found = list(WEIGHTS), ""
    with progress.track("Checking", network.n_synapses, "synapses") as step:
        for first, weight in _weights(network):
            exact = [kind for kind in exact if not _inexact(weight, scale, kind).any()]
            if not found and dtype not in exact:
                row, pair = np.argwhere(_inexact(weight, scale, dtype))[0]
                found = f"weight[{first + row}, {pair}] is {weight[row, pair]} x {scale:.9g}"
            step(weight.shape[0])
    if found:
        told = ", ".join(kind.name for kind in exact) or "none of DTB's types"
        raise InputError(
            f"dtype is {dtype.name!r}, but {found}, which it does not hold exactly; exact is {told}"
        )


def _is_binary(scale: float) -> bool:
    return math.frexp(scale)[0] == 0.5


def _inexact(
    integer: NDArray[np.unsignedinteger], scale: float, dtype: np.dtype[Any]
) -> NDArray[np.bool_]:
    """Which weights a type does not hold."""
    wrong: NDArray[np.bool_]
    value = integer * scale
    if integer.dtype == np.uint8:
        wrong = (integer % 255 != 0) & (dtype != np.uint8)
    elif not _is_binary(scale):
        wrong = integer != 0
    elif dtype == np.uint8:
        wrong = (value != 0) & (value != 1)
    else:
        wrong = decode(integer, scale, dtype).astype(np.float64) != value
    return wrong


def _weights(network: Network) -> Iterator[tuple[int, NDArray[np.unsignedinteger]]]:
    """First synapse and integer weights of stretches of the network."""
    first = 0
    stride = max(1, STRETCH // max(network.wiring.largest_degree, 1))
    for start in range(0, network.n_neurons, stride):
        stop = min(start + stride, network.n_neurons)
        weight = network.wiring.in_edges(start, stop).weight
        yield first, weight
        first += weight.shape[0]

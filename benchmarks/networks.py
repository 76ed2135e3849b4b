"""The networks that are measured: the default model on a generated connectome of 90 voxels."""

from __future__ import annotations

from pathlib import Path

import dask

from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.graph.build import build
from dtbdask.graph.network import Network, open_network

VOXELS, DEGREE = 90, 100


def quiet() -> None:
    """No progress lines in between."""
    dask.config.set({"dtbdask.progress": "off"})


def build_all(sizes: tuple[int, ...]) -> dict[int, str]:
    """Networks of these numbers of neurons in the current folder, by their paths."""
    quiet()
    brain, paths = synthetic_connectome(VOXELS), {}
    for neurons in sizes:
        path = Path.cwd() / f"brain_{neurons}.zarr"
        build(brain, path, neurons=neurons, degree=DEGREE, seed=1)
        paths[neurons] = str(path)
    return paths


def opened(paths: dict[int, str], neurons: int) -> Network:
    """One of them."""
    return open_network(paths[neurons])

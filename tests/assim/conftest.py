"""A small brain, its network, and a cluster of two processes for each file that asks for one."""

import pytest

from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.cluster import connect
from dtbdask.graph.build import build

VOXELS = 8


@pytest.fixture(scope="session")
def brain():
    return synthetic_connectome(VOXELS, frames=24, seed=1)


@pytest.fixture(scope="session")
def network(brain, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    return build(brain, path, neurons=1600, degree=20, seed=7)


@pytest.fixture(scope="module")
def client():
    with connect("local", workers=2) as client:
        yield client

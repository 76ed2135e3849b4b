"""A brain, and the stores that verbs make of it."""

import logging

import numpy as np
import pytest
from command import SIZE, figures

from dtbdask.assim.cycle import assimilate
from dtbdask.assim.observe import Observation
from dtbdask.brain.connectome import write_connectome
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.graph.network import open_network


@pytest.fixture(autouse=True)
def _own_log():
    """The command line has a log of its own; other tests are spared it."""
    ours = logging.getLogger("dtbdask")
    handlers, level = ours.handlers[:], ours.level
    ours.handlers.clear()
    yield
    ours.handlers[:], ours.level = handlers, level


@pytest.fixture(scope="module")
def brain():
    return synthetic_connectome(8, frames=20, seed=1)


@pytest.fixture(scope="module")
def made(brain, tmp_path_factory):
    """Folder with a connectome, and what `build` and `run` made and said of it."""
    folder = tmp_path_factory.mktemp("made")
    write_connectome(brain, folder / "brain.npz")
    told = {
        "build": figures("build", folder / "brain.npz", folder / "net.zarr", *SIZE),
        "run": figures(
            "run", folder / "net.zarr", folder / "rest.zarr", "--seconds", 0.5, "--burn-in", 0.2,
            "--tr", 0.1, "--seed", 3, "--record", "rate, bold,spikes", "--cluster", "none",
        ),
    }  # fmt: skip
    return folder, told


@pytest.fixture(scope="module")
def posterior(made):
    folder, _ = made
    y = 0.02 + 0.001 * np.random.default_rng(2).normal(size=(5, 8))
    seen = Observation(y, np.full(8, 1e-5), 0.02)
    network = open_network(folder / "net.zarr")
    assimilate(network, seen, to=folder / "fit.zarr", members=3, warm_up_frames=0,
               gamma_shape=None)  # fmt: skip
    return folder / "fit.zarr"

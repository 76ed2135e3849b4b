"""Small data sets to draw, and what every picture is tried with."""

import dask
import matplotlib.pyplot as plt
import numpy as np
import pytest
from networks import FOUR
from networks import make_brain as make_wired
from viz.synthetic import make_brain, make_posterior, make_recording

from dtbdask.brain.aal import AAL90
from dtbdask.graph.build import build
from dtbdask.sim.session import Session


@pytest.fixture(scope="session")
def brain():
    return make_brain()


@pytest.fixture(scope="session")
def recording():
    return make_recording()


@pytest.fixture(scope="session")
def posterior():
    return make_posterior()


@pytest.fixture
def computes():
    """List that grows by one with every computation Dask is asked for."""
    seen = []

    def scheduler(graph, keys, **kwargs):
        seen.append(keys)
        return dask.get(graph, keys, **kwargs)

    with dask.config.set(scheduler=scheduler):
        yield seen


@pytest.fixture(params=["bokeh", "matplotlib"])
def backend(request):
    yield request.param
    plt.close("all")


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """Folder of a network of 27 voxels on a grid, and a run of it in which everything is kept."""
    folder = tmp_path_factory.mktemp("real")
    brain = make_wired(27)
    at = np.stack(np.meshgrid(*[np.arange(3) * 3.0] * 3, indexing="ij"), -1).reshape(-1, 3)
    brain = brain.assign(xyz=(("voxel", "axis"), at)).assign_coords(
        label=("voxel", list(AAL90[:27]))
    )
    network = build(brain, folder / "net.zarr", neurons=540, degree=20, seed=1,
                    parameters=FOUR)  # fmt: skip
    with Session(network, seed=2, tr_s=0.05) as session:
        session.run(
            0.4, to=folder / "rest.zarr", bin_ms=2.0, samples=[3, 200, 77], sample_every=1.0,
            record=["rate", "spikes", "bold", "v_mean", "current_mean", "receptor_current",
                    "sample"],
        )  # fmt: skip
    return folder

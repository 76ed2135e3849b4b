"""Small data sets to draw, and what every picture is tried with."""

import dask
import matplotlib.pyplot as plt
import pytest
from viz.synthetic import make_brain, make_posterior, make_recording


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

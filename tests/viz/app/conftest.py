"""A study of a small brain, served, and a browser that looks at it."""

import numpy as np
import pytest
from browser import Visit, chromium, playwright
from recorded import random_spikes, write_recording

from dtbdask.viz.app.server import free_port, serve
from dtbdask.viz.app.study import Study

SIZE = [8, 2] * 6
N_STEPS = 1000


@pytest.fixture(scope="session")
def recording_path(tmp_path_factory):
    """A second of six regions."""
    step, neuron = random_spikes(N_STEPS, sum(SIZE))
    bold = np.random.default_rng(1).normal(0.03, 0.01, (20, 6)).cumsum(axis=0)
    path = tmp_path_factory.mktemp("study") / "rest.zarr"
    return write_recording(path, step, neuron, n_steps=N_STEPS, size=SIZE, bold=bold)


@pytest.fixture(scope="session")
def browser():
    path = chromium()
    with playwright().sync_playwright() as started:
        yield started.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )


@pytest.fixture
def visit(browser):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    yield Visit(page)
    page.close()


@pytest.fixture(scope="session")
def served():
    """Serve stores on a free port, and tell the address."""
    servers = []

    def start(*stores, connectome=None, **options):
        port = free_port("127.0.0.1")
        servers.append(serve(Study(stores, connectome), port=port, threaded=True, **options))
        return f"http://127.0.0.1:{port}/"

    yield start
    for server in servers:
        server.stop()

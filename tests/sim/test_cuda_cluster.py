"""A worker for each device: the spikes of the CPU, in memory that RMM hands out."""

import numpy as np
import pytest
from networks import make_network

from dtbdask.cluster import connect
from dtbdask.errors import CapacityError
from dtbdask.kernels import cuda
from dtbdask.sim.session import Session

pytest.importorskip("dask_cuda", reason="no dask-cuda: pip install 'dtbdask[cuda]'")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cuda.present(), reason="no CUDA device or no CuPy"),
]

POOL = 2**30


@pytest.fixture(scope="module", params=["tcp", "ucxx"])
def client(request):
    if request.param == "ucxx":
        pytest.importorskip("distributed_ucxx")
    with connect("cuda", workers=1, protocol=request.param, pool=POOL) as client:
        yield client


def in_use():
    """Bytes that this process holds of RMM's pool, and bytes of CuPy's own."""
    import cupy
    from rmm import statistics

    return statistics.get_statistics().current_bytes, cupy.get_default_memory_pool().total_bytes()


def refused(wanted):
    from dtbdask.kernels.cuda_memory import check_free

    try:
        check_free(wanted, "the neurons")
    except CapacityError as error:
        return str(error)
    return ""


def free():
    import cupy

    return cupy.cuda.runtime.memGetInfo()[0]


def test_the_spikes_are_those_of_the_cpu_and_the_memory_is_rmms(client):
    network = make_network(voxels=4, neurons=4000, degree=50, noise_rate=0.01)
    with Session(network, seed=3, device="cpu") as session:
        meant = session.advance(150, spikes=True)
    with Session(network, client, seed=3, device="cuda") as session:
        assert session.device == "cuda"
        found = session.advance(150, spikes=True)
        ((rmm, cupy),) = client.run(in_use).values()
        assert rmm > 4 * network.n_synapses
        assert cupy == 0
    assert meant.spike_neuron.size > 100
    np.testing.assert_array_equal(found.n_spikes, meant.n_spikes)
    np.testing.assert_array_equal(found.spike_neuron, meant.spike_neuron)


def test_what_the_pool_holds_and_nobody_uses_is_free(client):
    network = make_network(neurons=600)
    with Session(network, client, seed=3, device="cuda"):
        (outside,) = client.run(free).values()
        ((used, _),) = client.run(in_use).values()
        (fits,) = client.run(refused, outside + POOL - used).values()
        (told,) = client.run(refused, outside + POOL + 2**20).values()
    assert fits == ""
    assert "the neurons need" in told

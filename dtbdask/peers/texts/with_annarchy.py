"""ANNarchy: generated C++ with OpenMP, float32, one CSR projection for each type of source."""

import shutil
import tempfile

import ANNarchy
import common
import numpy as np
import scipy.sparse as sp

net = common.network()
# ANNarchy keeps names such as g_exc for itself, so constants go without the underscore
constants = {name.replace("_", ""): value for name, value in net.update.items()}
neuron = ANNarchy.Neuron(
    parameters="\n".join(f"{name} = {value!r} : population" for name, value in constants.items()),
    equations=f"""
    ou += rate*(mu - ou) + kick*Normal(0.0, 1.0) : init = {net.ou_mean}
    je = je*de + g_exc
    ji = ji*di + g_inh
    v = if resting > 0.5: vreset else: v + h*(gl*(vl - v) + ge*(ee - v)*je + gi*(ei - v)*ji + ou) : init = {(net.v_th + net.v_reset) / 2}
    resting = 0.0
    g_exc = 0.0
    g_inh = 0.0
    count = count
    """,
    spike="v >= vth",
    reset="v = vreset\nresting = 1.0\ncount += 1.0",
)
folder = tempfile.mkdtemp()
with common.Clock() as build:
    network = ANNarchy.Network(dt=net.dt, seed=1)
    network.config(num_threads=net.threads, dtype=ANNarchy.float32)
    population = network.create(net.n, neuron)
    for name, excitatory in (("exc", True), ("inh", False)):
        source, target, weight = common.of_type(net, excitatory)
        matrix = sp.csr_array((weight.astype(float), (source, target)), shape=(net.n, net.n))
        projection = network.connect(population, population, name)
        projection.from_sparse(
            sp.csr_matrix(matrix), storage_format="csr", storage_order="pre_to_post"
        )
    network.compile(directory=folder)
network.simulate(net.warm_up * net.dt)
population.count = 0.0
with common.Clock() as running:
    network.simulate(net.steps * net.dt)
common.tell(net, seconds=running.seconds, build_seconds=build.seconds,
            spikes=np.asarray(population.count), version=ANNarchy.__version__)  # fmt: skip
shutil.rmtree(folder, ignore_errors=True)

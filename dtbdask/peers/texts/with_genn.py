"""GeNN: generated C++ for one thread of the CPU, float32, sparse rows for each type of source."""

import shutil
import tempfile

import common
import numpy as np
import pygenn

net = common.network()
k = net.update
neuron = pygenn.create_neuron_model(
    "neuron",
    params=["h", "g_l", "v_l", "v_th", "v_reset", "mu", "rate", "kick"],
    vars=[("v", "scalar"), ("ou", "scalar"), ("resting", "scalar"), ("count", "scalar")],
    sim_code="""
    ou += rate * (mu - ou) + kick * gennrand_normal();
    v = resting > 0.5 ? v_reset : v + h * (g_l * (v_l - v) + Isyn + ou);
    resting = 0.0;
    """,
    threshold_condition_code="v >= v_th",
    reset_code="v = v_reset; resting = 1.0; count += 1.0;",
)
receptor = pygenn.create_postsynaptic_model(
    "receptor", params=["g", "e", "decay"], neuron_var_refs=[("v", "scalar")],
    sim_code="injectCurrent(g * (e - v) * inSyn); inSyn *= decay;",
)  # fmt: skip
folder = tempfile.mkdtemp()
with common.Clock() as build:
    model = pygenn.GeNNModel("float", "net", backend="single_threaded_cpu", optimize_code=True)
    model.dt, model.seed = net.dt, 1
    start = {"v": (net.v_th + net.v_reset) / 2, "ou": net.ou_mean, "resting": 0.0, "count": 0.0}
    constants = {
        name: k[name] for name in ("h", "g_l", "v_l", "v_th", "v_reset", "mu", "rate", "kick")
    }
    neurons = model.add_neuron_population("neurons", net.n, neuron, constants, start)
    for letter, excitatory in (("e", True), ("i", False)):
        source, target, weight = common.of_type(net, excitatory)
        synapses = model.add_synapse_population(
            f"of_{letter}", "SPARSE", neurons, neurons,
            pygenn.init_weight_update("StaticPulse", {}, {"g": weight}),
            pygenn.init_postsynaptic(
                receptor, {"g": k[f"g_{letter}"], "e": k[f"e_{letter}"], "decay": k[f"d_{letter}"]},
                var_refs={"v": pygenn.create_var_ref(neurons, "v")},
            ),
        )  # fmt: skip
        synapses.set_sparse_connections(source, target)
        del source, target, weight
    model.build(folder)
    model.load()
    for _ in range(net.warm_up):
        model.step_time()
neurons.vars["count"].current_view[:] = 0
with common.Clock() as running:
    for _ in range(net.steps):
        model.step_time()
common.tell(net, seconds=running.seconds, build_seconds=build.seconds,
            spikes=np.array(neurons.vars["count"].current_values),
            version=f"{pygenn.__version__}, one thread")  # fmt: skip
shutil.rmtree(folder, ignore_errors=True)

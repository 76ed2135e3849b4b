"""NEST with iaf_psc_exp, its cheapest neuron of this kind.

NEST has no such background current: it gets white noise of the same effect on the free membrane and
currents instead of conductances, so its rate differs; it is a bound of its cost from below.
"""

import common
import nest
import numpy as np

net = common.network()
nest.verbosity = nest.VerbosityLevel.ERROR
nest.ResetKernel()
nest.resolution = net.dt
nest.local_num_threads = net.threads
nest.rng_seed = 1
tau_m = net.c / net.g_l
deviation = net.ou_sigma * np.sqrt(net.ou_tau / (net.ou_tau + tau_m) * 2 * tau_m / net.dt)
driving = {True: net.g_ampa * 58, False: -net.g_gaba_a * 12}  # mean distance to E, mV
with common.Clock() as build:
    neurons = nest.Create("iaf_psc_exp", net.n, params={
        "C_m": net.c * 1e3, "E_L": net.v_l, "V_th": net.v_th, "V_reset": net.v_reset,
        "V_m": (net.v_th + net.v_reset) / 2, "tau_m": tau_m, "tau_syn_ex": net.tau_ampa,
        "tau_syn_in": net.tau_gaba_a, "t_ref": 1.0,
    })  # fmt: skip
    noise = nest.Create("noise_generator", params={
        "mean": net.ou_mean * 1e3, "std": deviation * 1e3, "dt": net.dt,
    })  # fmt: skip
    nest.Connect(noise, neurons)
    for excitatory in (True, False):
        source, target, weight = common.of_type(net, excitatory)
        for low in range(0, source.size, 10_000_000):
            part = slice(low, low + 10_000_000)
            given = {"weight": weight[part].astype(float) * driving[excitatory] * 1e3,
                     "delay": np.full(source[part].size, net.dt)}  # fmt: skip
            nest.Connect(source[part] + 1, target[part] + 1, "one_to_one", given)
    nest.Simulate(net.warm_up * net.dt)
with common.Clock() as running:
    nest.Simulate(net.steps * net.dt)
common.tell(net, seconds=running.seconds, build_seconds=build.seconds,
            spikes=nest.local_spike_counter, version=nest.__version__)  # fmt: skip

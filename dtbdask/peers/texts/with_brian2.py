"""Brian2 in C++ standalone mode, one update block and one Synapses object for each type."""

import shutil
import tempfile

import brian2 as b2
import common
import numpy as np

net = common.network()
folder = tempfile.mkdtemp()
b2.prefs.core.default_float_dtype = np.float32
b2.prefs.codegen.cpp.extra_compile_args_gcc = ["-w", "-O3", "-ffast-math", "-march=native"]
b2.set_device("cpp_standalone", build_on_run=False, directory=folder)
b2.prefs.devices.cpp_standalone.openmp_threads = net.threads if net.threads > 1 else 0
b2.defaultclock.dt = net.dt * b2.ms
with common.Clock() as build:
    neurons = b2.NeuronGroup(
        net.n, "v:1\nou:1\nj_e:1\nj_i:1\nresting:1\nn_spikes:integer", namespace=net.update,
        threshold="v >= v_th", reset="v = v_reset; resting = 1; n_spikes += 1", name="neurons",
    )  # fmt: skip
    neurons.run_regularly(
        """
        ou += rate * (mu - ou) + kick * randn()
        v = resting * v_reset + (1 - resting) * (v + h * (g_l * (v_l - v) + ou
            + g_e * (e_e - v) * j_e + g_i * (e_i - v) * j_i))
        resting = 0
        j_e *= d_e
        j_i *= d_i
        """.replace("ou\n            +", "ou +"),
        when="groups",
    )
    neurons.v, neurons.ou = (net.v_th + net.v_reset) / 2, net.ou_mean
    made = [neurons]
    for name, excitatory in (("j_e", True), ("j_i", False)):
        source, target, weight = common.of_type(net, excitatory)
        synapses = b2.Synapses(
            neurons, neurons, "w:1", on_pre=f"{name}_post += w", name=f"of_{name}"
        )
        synapses.connect(i=source, j=target)
        synapses.w = weight
        made.append(synapses)
    whole = b2.Network(*made)
    whole.run(net.warm_up * net.dt * b2.ms)
    neurons.n_spikes = 0
    whole.run(net.steps * net.dt * b2.ms)
    b2.device.build(directory=folder, compile=True, run=False, with_output=False)
b2.device.run(folder, with_output=False, run_args=[])
common.tell(
    net, seconds=float(b2.device._last_run_time), build_seconds=build.seconds,
    spikes=np.array(neurons.n_spikes), version=b2.__version__, children=True,
)  # fmt: skip
shutil.rmtree(folder, ignore_errors=True)

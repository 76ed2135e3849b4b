"""dtbdask itself, in a process of its own like every other."""

from importlib.metadata import version

import common
import dtbdask as dtb
import numpy as np

net = common.network()
with common.Clock() as build:
    network = dtb.open_network(common.Path(common.sys.argv[1]) / "network.zarr")
    session = dtb.Session(network, threads=net.threads, seed=1)
    session.advance(net.warm_up)
with common.Clock() as running:
    count = session.advance(net.steps).spike_count[:, 0].sum(axis=0)
session.close()
size, excitatory = network.populations.size, network.populations.excitatory
spikes = np.repeat(count / size, size)
common.tell(net, seconds=running.seconds, build_seconds=build.seconds, spikes=spikes,
            version=version("dtbdask"))  # fmt: skip

"""DTB's own PyTorch model: its step of four receptors, dense vectors times sparse matrices.

DTB multiplies one matrix for each receptor; AMPA and NMDA hear the same spikes, as do both GABA, so
one matrix of a type of source serves two, and no statistics but the spikes are kept: its best form.
"""

import common
import numpy as np
import scipy.sparse as sp
import torch

net = common.network()
torch.manual_seed(1)
torch.set_num_threads(net.threads)
receptors = ("ampa", "nmda", "gaba_a", "gaba_b")


def column(prefix):
    """A constant of each receptor, to be spread over the neurons."""
    return torch.tensor([[getattr(net, f"{prefix}_{name}")] for name in receptors])


def matrix(excitatory):
    """Weights (target, source) of the edges from neurons of one type."""
    source, target, weight = common.of_type(net, excitatory)
    rows = sp.csr_array((weight, (target, source)), shape=(net.n, net.n))
    index = (torch.from_numpy(part.astype(np.int32)) for part in (rows.indptr, rows.indices))
    return torch.sparse_csr_tensor(*index, torch.from_numpy(rows.data), size=rows.shape)


class Block:
    """State of all neurons and one step of DTB's reference model."""

    def __init__(self):
        self.of_e, self.of_i = matrix(True), matrix(False)
        self.g, self.e_u = column("g"), column("e")
        self.decay = torch.exp(-net.dt / column("tau"))
        self.v = torch.full((net.n,), (net.v_th + net.v_reset) / 2)
        self.ou = torch.full((net.n,), net.ou_mean)
        self.j = torch.zeros(len(receptors), net.n)
        self.current = torch.zeros(net.n)
        self.last = torch.full((net.n,), -net.t_ref)
        self.spikes = torch.zeros(net.n)
        self.t = 0.0

    def step(self):
        """Background, membrane, spikes, receptors, currents."""
        self.t += net.dt
        drawn = torch.randn(net.n)
        self.ou += net.update["rate"] * (net.ou_mean - self.ou) + net.update["kick"] * drawn
        driven = net.g_l * (net.v_l - self.v) + self.current + self.ou
        v = self.v + net.dt / net.c * driven
        v = torch.where(self.t < self.last + net.t_ref, net.v_reset, v)
        fires = v >= net.v_th
        self.v = torch.clamp(v, max=net.v_th)
        sent = fires.float()
        from_e, from_i = self.of_e @ sent, self.of_i @ sent
        self.j = self.j * self.decay + torch.stack((from_e, from_e, from_i, from_i))
        self.current = (self.g * (self.e_u - self.v) * self.j).sum(0)
        self.last = torch.where(fires, self.t, self.last)
        self.spikes += sent


with torch.inference_mode():
    with common.Clock() as build:
        block = Block()
        for _ in range(net.warm_up):
            block.step()
    block.spikes.zero_()
    with common.Clock() as running:
        for _ in range(net.steps):
            block.step()
common.tell(net, seconds=running.seconds, build_seconds=build.seconds,
            spikes=block.spikes.numpy(), version=torch.__version__)  # fmt: skip

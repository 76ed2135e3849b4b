"""What is meant: one member of one network, stepped by plain NumPy in the defined order.

Slow and short. It knows nothing of features, parts, packed kicks or lists of spikes: every receptor
and every current is always there, every edge is looked at in every step with a delay of its own,
and kicks are int64 sums, those not yet due in a dictionary by the step at whose end they arrive.
Random numbers are those of `dtbdask.rng`. A kernel that says the same has the same bits.
"""

import numpy as np

from dtbdask import rng
from dtbdask.kernels import RECEPTORS


class Oracle:
    """A network in motion; `step()` returns the neurons that spiked, their own or noise."""

    def __init__(
        self, network, *, seed=0, member=0, dt_ms=1.0, t_steps=1, dtype="float32", multiplier=None,
        script=(),
    ):  # fmt: skip
        self.network, self.seed, self.member, self.t_steps = network, seed, member, t_steps
        self.n, self.real = network.n_neurons, np.dtype(dtype).type
        self.population = network.populations.population_of(0, self.n)
        self.multiplier = dict(multiplier or {})
        h, given = dt_ms / t_steps, self.of_neurons
        self.plain = {name: given(lambda x: x, name) for name in network.parameters}
        self.h_over_c = given(lambda c: h / c, "c")
        self.pause = given(lambda t: np.maximum(1, np.rint(t / h)), "t_ref").astype(np.int64)
        self.ou_rate = given(lambda tau: -np.expm1(-h / tau), "ou_tau")
        self.ou_kick = given(
            lambda sigma, tau: sigma * np.sqrt(-np.expm1(-2 * h / tau)), "ou_sigma", "ou_tau"
        )
        self.decay = [given(lambda tau: np.exp(-h / tau), f"tau_{name}") for name in RECEPTORS]
        self.h_decay = given(lambda tau: np.exp(-h / tau), "tau_h_minus")
        self.h_rate = given(lambda tau: -np.expm1(-h / tau), "tau_h_plus")
        self.ca_decay = given(lambda tau: np.exp(-h / tau), "tau_ca")
        self.script = script
        edges = network.wiring.in_edges(0, self.n)
        self.target = np.repeat(np.arange(self.n), np.diff(edges.indptr))
        self.source, self.weight = edges.source, edges.weight.astype(np.int64)
        self.excites = network.populations.excitatory[self.population[self.source]]
        self.delay = self.delays()
        self.pending = {}
        self.scale = self.real(network.wiring.weight_scale)
        base = {k: network.parameters.population[k][self.population] for k in network.parameters}
        base.update(network.parameters.neuron)
        self.v = ((base["v_th"] + base["v_reset"]) / 2).astype(self.real)
        self.ou = base["ou_mean"].astype(self.real)
        self.j = np.zeros((4, self.n), self.real)
        self.h_t, self.ca = base["h_init"].astype(self.real), base["ca_init"].astype(self.real)
        self.refractory = np.zeros(self.n, np.int64)
        self.step_index = 0
        self.options = {
            "seed": seed, "member": member, "dt_ms": dt_ms, "t_steps": t_steps, "dtype": dtype,
            "script": script,
        }  # fmt: skip

    def going_on(self, network=None, multiplier=None):
        """The oracle of another network or multiplier, in the state that this one has come to."""
        other = Oracle(network or self.network, multiplier=multiplier, **self.options)
        for name in ("v", "ou", "j", "refractory", "pending", "step_index", "h_t", "ca"):
            setattr(other, name, getattr(self, name))
        return other

    def delays(self):
        """Delay of each edge: that of the far entry between two voxels, one step within one."""
        mixture, voxel = self.network.populations.mixture, self.network.populations.voxel
        if not mixture.far_delay.size:
            return np.ones(self.target.size, np.int64)
        known = {}
        for term in np.flatnonzero(mixture.table >= 0):
            listener, table = voxel[mixture.population[term]], mixture.table[term]
            for entry in range(*mixture.far_indptr[table : table + 2]):
                known[listener, voxel[mixture.far_population[entry]]] = mixture.far_delay[entry]
        target, source = (voxel[self.population[ids]] for ids in (self.target, self.source))
        pairs = zip(target, source, strict=True)
        return np.array([1 if v == u else known.get((v, u), 1) for v, u in pairs], np.int64)

    def of_neurons(self, formula, *names):
        """Coefficient of each neuron: rounded once where it has no values of its own."""
        own, parameters = self.network.parameters.neuron, self.network.parameters.population
        factor = [self.multiplier.get(name, 1.0) for name in names]
        if not any(name in own for name in names):
            values = formula(*(parameters[k] * m for k, m in zip(names, factor, strict=True)))
            return values.astype(self.real)[self.population]
        values = formula(*(own.get(k, parameters[k][self.population]) for k in names))
        scalar = np.broadcast_to(factor[0], parameters["c"].shape)[self.population]
        return scalar.astype(self.real) * values.astype(self.real)

    def step(self):
        spiked = np.zeros(self.n, bool)
        for s in range(self.t_steps):
            spiked |= self.substep(self.step_index * self.t_steps + s)
        where = (0, self.n, self.step_index, self.member)
        noise = rng.uniform(rng.neuron_words(self.seed, rng.Purpose.NOISE, *where))
        spiked |= noise < self.plain["noise_rate"].astype(np.float32)
        spiked[[neuron for step, neuron in self.script if step == self.step_index]] = True
        for u in range(4):
            acts = spiked[self.source] & (self.excites == (u < 2))
            for delay in np.unique(self.delay):
                late, arrival = acts & (self.delay == delay), self.step_index + int(delay) - 1
                kick = self.pending.setdefault((arrival, u), np.zeros(self.n, np.int64))
                np.add.at(kick, self.target[late], self.weight[late, u % 2])
            kick = self.pending.pop((self.step_index, u), np.zeros(self.n, np.int64))
            self.j[u] += kick.astype(self.real) * self.scale
        self.step_index += 1
        return np.flatnonzero(spiked)

    def substep(self, index):
        p, rests = self.plain, self.refractory > 0
        left = self.refractory - rests
        x = np.where(rests, p["v_reset"], self.v)
        z = rng.neuron_normals(self.seed, 0, self.n, index, self.member).astype(self.real)
        self.ou = self.ou + self.ou_rate * (p["ou_mean"] - self.ou)
        self.ou = self.ou + self.ou_kick * z
        current = p["i_ext"] + self.ou
        for u, name in enumerate(RECEPTORS):
            current = current + p[f"g_{name}"] * (p[f"e_{name}"] - x) * self.j[u]
            self.j[u] *= self.decay[u]
        calcium = p["g_t"] * (p["e_t"] - x) * self.h_t
        current = current + np.where(x >= p["v_h"], calcium, self.real(0))
        current = current + p["g_da"] * (p["e_da"] - x)
        current = current + p["g_ahp"] * (p["e_k"] - x) * self.ca
        y = x + self.h_over_c * (p["g_l"] * (p["v_l"] - x) + current)
        y = np.where(left > 0, p["v_reset"], y)
        fires = y >= p["v_th"]
        self.v = np.where(fires, p["v_th"], y)
        self.refractory = np.where(fires, self.pause, left)
        falls, rises = self.h_t * self.h_decay, self.h_t + self.h_rate * (1 - self.h_t)
        self.h_t = np.where(self.v >= p["v_h"], falls, rises)
        self.ca = self.ca * self.ca_decay + np.where(fires, p["alpha_ca"], self.real(0))
        return fires

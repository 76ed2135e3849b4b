"""brainevent on JAX: events times a CSR matrix for each type of source, steps in a fori_loop."""

from types import SimpleNamespace

import brainevent
import common
import jax
import jax.numpy as jnp
import numpy as np

net = common.network()
k = SimpleNamespace(**net.update)


def rows(excitatory):
    """Neurons of one type, and their edges as a CSR matrix (source, target)."""
    source, target, weight = common.of_type(net, excitatory)
    ids = np.flatnonzero(net.excitatory == excitatory)
    indptr = np.append(0, np.cumsum(np.bincount(source, minlength=net.n)[ids]))
    arrays = (weight, target.astype(np.int32), indptr.astype(np.int32))
    return jnp.asarray(ids.astype(np.int32)), brainevent.CSR(
        tuple(map(jnp.asarray, arrays)), shape=(ids.size, net.n)
    )


def step(state, key):
    """One step of all neurons."""
    v, ou, j_e, j_i, resting, spikes = state
    ou += k.rate * (k.mu - ou) + k.kick * jax.random.normal(key, (net.n,), jnp.float32)
    current = k.g_e * (k.e_e - v) * j_e
    current += k.g_i * (k.e_i - v) * j_i
    y = v + k.h * (net.g_l * (net.v_l - v) + current + ou)
    y = jnp.where(resting, net.v_reset, y)
    fires = y >= net.v_th
    kick_e = brainevent.BinaryArray(fires[of_e]) @ edges_e
    kick_i = brainevent.BinaryArray(fires[of_i]) @ edges_i
    return (jnp.minimum(y, net.v_th), ou, j_e * k.d_e + kick_e, j_i * k.d_i + kick_i, fires,
            spikes + fires.astype(jnp.int32))  # fmt: skip


@jax.jit
def run(state, key, n):
    """Some steps."""
    return jax.lax.fori_loop(0, n, lambda i, s: step(s, jax.random.fold_in(key, i)), state)


with common.Clock() as build:
    of_e, edges_e = rows(True)
    of_i, edges_i = rows(False)
    zero = jnp.zeros(net.n, jnp.float32)
    state = (zero + (net.v_th + net.v_reset) / 2, zero + net.ou_mean, zero, zero,
             zero.astype(bool), zero.astype(jnp.int32))  # fmt: skip
    state = jax.block_until_ready(run(state, jax.random.key(1), net.warm_up))
state = (*state[:-1], zero.astype(jnp.int32))
with common.Clock() as running:
    state = jax.block_until_ready(run(state, jax.random.key(2), net.steps))
common.tell(net, seconds=running.seconds, build_seconds=build.seconds,
            spikes=np.asarray(state[-1]), version=brainevent.__version__)  # fmt: skip

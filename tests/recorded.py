"""Recordings that nobody simulated: stores with spikes that are known beforehand."""

import numpy as np

from dtbdask import schema
from dtbdask.brain.aal import AAL90

RATE_HZ = 20.0


def write_recording(path, step, neuron, *, n_steps, size, first_step=0, chunk=1000, bold=None):
    """Store of spikes, given in order, of populations E and I in turn, two of each region.

    Parameters
    ----------
    path : path
    step, neuron : (spike,) int
        Steps from the start of the recording, ascending.
    n_steps, first_step : int
    size : (population,) int
    chunk : int
        Spikes of a chunk.
    bold : (frame, voxel) float, optional
    """
    step, neuron, size = (np.asarray(a, np.int64) for a in (step, neuron, size))
    labels = list(AAL90[: size.size // 2])
    n_neurons = int(size.sum())
    about = {
        "network": "", "source": "made for a test", "seed": 0, "first_step": first_step,
        "n_steps": n_steps, "n_neurons": n_neurons, "dt_ms": 1.0, "frame_steps": 50,
        "bin_steps": 1, "binned": False, "sample": [], "sample_steps": 1, "receptors": [],
        "record": ["rate", "spikes", "bold"], "labels": labels,
        "population_labels": [f"{name} {kind}" for name in labels for kind in "EI"],
    }  # fmt: skip
    group = schema.create_store(path, "recording", about)
    voxel = np.repeat(np.arange(len(labels)), 2)
    for name, values in (("voxel", voxel), ("excitatory", np.tile([True, False], len(labels))),
                         ("size", size)):  # fmt: skip
        schema.write(group, schema.NETWORK[f"population/{name}"], values)
    owner = np.searchsorted(np.cumsum(size), neuron, side="right")
    count = np.zeros((n_steps, size.size), np.int32)
    np.add.at(count, (step, owner), 1)
    schema.write(group, schema.RECORDING["spike_count"], count, 500)
    schema.write(group, schema.RECORDING["n_spikes"], np.bincount(step, minlength=n_steps), 500)
    schema.write(group, schema.RECORDING["spike_neuron"], neuron, chunk)
    if bold is not None:
        schema.write(group, schema.RECORDING["bold"], bold, 8)
    schema.commit(group)
    return path


def random_spikes(n_steps, n_neurons, rate_hz=RATE_HZ, seed=0):
    """Step and neuron of Poisson spikes, in order."""
    rng = np.random.default_rng(seed)
    step, neuron = np.nonzero(rng.random((n_steps, n_neurons)) < rate_hz / 1000)
    return step, neuron

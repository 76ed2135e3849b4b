"""Recordings that nobody simulated: stores with spikes that are known beforehand."""

import numpy as np

from dtbdask import schema
from dtbdask.assim.posterior import ROWS
from dtbdask.brain.aal import AAL90
from dtbdask.sim.record import Column

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


class GrowingFit:
    """A posterior that is written frame by frame, as an assimilation does.

    Parameters
    ----------
    path : path
    labels : sequence of str
    n_frames : int
        That it will have.
    """

    def __init__(self, path, labels, n_frames=64, members=4):
        rng = np.random.default_rng(0)
        observed = 0.03 + 0.01 * np.sin(np.arange(n_frames)[:, None] / 5 + np.arange(len(labels)))
        root = {
            "parameters": ["g_ampa"], "labels": list(labels), "tr_s": 0.8, "method": "dhmda",
            "bounds": {"g_ampa": [0.001, 0.02]}, "members": members,
        }  # fmt: skip
        self.group = schema.create_store(path, "posterior", root)
        schema.write(self.group, schema.POSTERIOR["bold_observed"], observed)
        tail = (members, len(labels))
        self._columns = {
            name: Column(self.group, schema.POSTERIOR[name], tail, ROWS)
            for name in ("bold_forecast", "bold_analysis", "rate")
        }
        value = schema.POSTERIOR["parameter_value"]
        self._columns["parameter_value"] = Column(self.group, value, (members, 1, tail[1]), ROWS)
        self._rng, self._observed, self.n_frames, self.there = rng, observed, n_frames, 0

    def grow(self, frames):
        """Add frames, and finish with the last."""
        for frame in range(self.there, self.there + frames):
            noise = self._rng.normal(0, 0.002, (1, *self._columns["rate"].held.shape[1:]))
            self._columns["bold_forecast"].append(self._observed[frame] + noise)
            self._columns["bold_analysis"].append(self._observed[frame] + noise / 2)
            self._columns["rate"].append(10 + 1000 * noise)
            self._columns["parameter_value"].append(0.01 + noise[:, :, None])
        self.there += frames
        if self.there == self.n_frames:
            for column in self._columns.values():
                column.finish()
            schema.commit(self.group)

"""Small brains and networks, held in memory, and hypothesis strategies that draw them."""

import numpy as np
import scipy.sparse as sp
import xarray as xr
from hypothesis import strategies as st

from dtbdask.graph.mixture import Mixture
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations, populate
from dtbdask.graph.synapses import Held, Procedural, fixed_point
from dtbdask.graph.wiring import InEdges, Recipe

FOUR = {"g_ampa": 0.002, "g_nmda": 0.0002, "g_gaba_a": 0.01, "g_gaba_b": 0.0005}
"""Conductances with which all four receptors are on and neurons fire."""


def make_brain(voxels=3, seed=0):
    rng = np.random.default_rng(seed)
    fibres = np.floor(rng.lognormal(3, 1, (voxels, voxels))) + 1
    np.fill_diagonal(fibres, 0)
    return xr.Dataset(
        {
            "connection": (("voxel", "voxel_source"), fibres if voxels > 1 else np.ones((1, 1))),
            "grey_matter": ("voxel", rng.uniform(0.3, 0.7, voxels)),
        },
        coords={"label": ("voxel", [f"region {v}" for v in range(voxels)])},
        attrs={"source": "of a test", "sha256": "0" * 64},
    )


def make_network(voxels=3, neurons=600, degree=20, seed=3, neuron=None, wide=False, **parameters):
    """Network held in memory; `wide` gives it 32-bit fixed-point weights of the same synapses."""
    populations = populate(make_brain(voxels), neurons, degree, "voxel")
    values = Parameters.make(2 * voxels, parameters)
    values = values.with_neuron(neuron or {}, populations.n_neurons)
    synapses = Procedural(Recipe.make(populations, seed))
    if wide:
        edges = synapses.in_edges(0, populations.n_neurons)
        weight, scale = fixed_point(edges.weight / 255.0, degree)
        synapses = Held(InEdges(edges.indptr, edges.source, weight), scale)
    labels = tuple(f"region {v}" for v in range(voxels))
    about = {"layout": "voxel", "slots": ("E", "I"), "seed": seed}
    return Network(populations, values, synapses, labels, about)


@st.composite
def drawn_populations(draw):
    """Any feasible populations: also tiny ones that must hear every neuron they can."""
    n = draw(st.integers(1, 5))
    size = np.array(draw(st.lists(st.integers(2, 14), min_size=n, max_size=n)), np.int64)
    share = st.lists(st.integers(0, 5), min_size=n, max_size=n).filter(any)
    matrix = np.array([draw(share) for _ in range(n)], float)
    matrix /= matrix.sum(axis=1, keepdims=True)
    reach = (matrix > 0) @ size - (np.diag(matrix) > 0)
    degree = [draw(st.integers(1, int(most)) | st.just(int(most))) for most in reach]
    return Populations(
        voxel=np.arange(n), slot=np.zeros(n, np.int64), excitatory=np.arange(n) % 2 == 0,
        size=size, degree=np.array(degree, np.int32), mixture=Mixture.direct(sp.csr_array(matrix)),
    )  # fmt: skip

"""What a network is made of: degrees, weights, and how blocks share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
import scipy.sparse as sp

from dtbdask.graph.traffic import assess, owned
from dtbdask.viz import style
from dtbdask.viz.matrices import population_matrix

if TYPE_CHECKING:
    from dtbdask.graph.network import Network
    from dtbdask.graph.partition import Partition

DEGREE = hv.Dimension("degree", label="Synapses on a neuron")
OUT_DEGREE = hv.Dimension("degree", label="Synapses of a neuron")
NEURONS = hv.Dimension("neurons", label="Neurons")
WEIGHT = hv.Dimension("weight", label="Weight", unit="1")
SYNAPSES = hv.Dimension("synapses", label="Synapses")
BLOCK = hv.Dimension("block", label="Block")
SOURCE_BLOCK = hv.Dimension("source_block", label="Source block")
TARGET_BLOCK = hv.Dimension("target_block", label="Target block")
LOAD = hv.Dimension("load", label="Load", unit="ms a step")

BINS = 50
LEVELS = 4
"""Of 256 whole numbers that weights are, those of a bin."""
SAMPLED = 1 << 20
"""Synapses of which weights are counted."""


def degree_histogram(network: Network) -> hv.Layout:
    """How many synapses neurons have: those on them, and those they are expected to make.

    Parameters
    ----------
    network : Network

    Returns
    -------
    degrees : holoviews.Layout
        Histograms over neurons: in-degrees, which are exact, and mean out-degrees of populations.
    """
    populations = network.populations
    size = populations.size.astype(np.float64)
    made = np.asarray(population_matrix(network).sum(axis=0)).ravel() / np.maximum(size, 1)
    panels = []
    for values, dimension, title in (
        (populations.degree, DEGREE, "In-degree"), (made, OUT_DEGREE, "Out-degree, expected")
    ):  # fmt: skip
        heights, edges = np.histogram(values[size > 0], BINS, weights=size[size > 0])
        bars = style.histogram(edges, heights, dimension, NEURONS, "", style.ENSEMBLE)
        panels.append(style.panel(bars, title, width=360, height=260))
    return style.stack(panels, columns=2)


def weight_histogram(network: Network, sampled: int = SAMPLED) -> hv.Overlay:
    """How strong synapses are, of those that come first.

    Parameters
    ----------
    network : Network
    sampled : int
        How many synapses are read.

    Returns
    -------
    weights : holoviews.Overlay
        Histograms of both weights of a pair, from 0 to 1.
    """
    lazy = network.synapses["weight"]
    part = np.asarray(lazy[:sampled].values) * float(lazy.attrs["scale"])
    edges = (np.arange(0, 257, LEVELS) - 0.5) / 255 * max(1.0, float(part.max(initial=0.0)))
    bars = []
    for i, (label, look) in enumerate(
        (("AMPA or GABA-A", style.EXCITATORY), ("NMDA or GABA-B", style.INHIBITORY))
    ):
        heights, _ = np.histogram(part[:, i], edges)
        bars.append(style.histogram(edges, heights, WEIGHT, SYNAPSES, label, look))
    title = f"Weights of {len(part):,} synapses"
    return style.panel(hv.Overlay(bars), title, width=420, height=280)


def partition_picture(network: Network, partition: Partition) -> hv.Layout:
    """What the blocks of a partition cost, and how many synapses lead from one to another.

    Parameters
    ----------
    network : Network
    partition : Partition
        As of `dtbdask.graph.partition.partition`.

    Returns
    -------
    picture : holoviews.Layout
        Bars of the load of each block (ms a step), and an image of synapses, row the target block,
        column the source block.
    """
    told = assess(network, partition)
    blocks = np.arange(partition.n_blocks)
    load = hv.Bars((blocks, told.load / 1e6), BLOCK, LOAD)
    load.opts(backend="bokeh", color=style.ENSEMBLE.color, tools=["hover"])
    load.opts(backend="matplotlib", color=style.ENSEMBLE.color)
    size = np.maximum(network.populations.size, 1).astype(np.float64)
    share = sp.csr_array(owned(network.populations, partition) @ sp.diags_array(1 / size))
    between = (share @ population_matrix(network) @ share.T).toarray()
    picture = hv.Image((blocks, blocks, between), [SOURCE_BLOCK, TARGET_BLOCK], SYNAPSES)
    clim = (float(between.min()), float(between.max()) or 1.0)
    style.image(picture, cmap=style.SEQUENTIAL, clim=clim)
    cut = told.cut / max(told.synapses.sum(), 1.0)
    panels = [
        style.panel(load, f"Load, largest over mean {told.balance:.3f}", width=360, height=300),
        style.panel(picture, f"Synapses between blocks, {cut:.0%} cut", width=330, height=300,
                    invert_yaxis=True),
    ]  # fmt: skip
    return style.stack(panels, columns=2).opts(backend="matplotlib", fig_inches=5)

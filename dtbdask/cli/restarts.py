"""Verbs that take up what was cut short: resume."""

from __future__ import annotations

from pathlib import Path

import click

from dtbdask.cli.runs import figures_of
from dtbdask.cli.telling import as_json, tell, told


@click.command()
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--network", type=click.Path(path_type=Path), help="Where the network is now.")
@click.option(
    "--cluster", default="local", show_default=True,
    help="local, cuda, slurm, none, or a scheduler.",
)  # fmt: skip
@click.option("--workers", type=int, help="Of a local cluster: 2; or devices: all.")
@as_json
@told
def resume(
    recording: Path, network: Path | None, cluster: str, workers: int | None, as_json: bool
) -> None:
    """Finish RECORDING, of a run with checkpoints that was cut short."""
    from contextlib import nullcontext

    from dtbdask.cluster import connect
    from dtbdask.graph.network import open_network
    from dtbdask.sim.restart import resume_run

    opened = open_network(network) if network else None
    place = nullcontext(None) if cluster == "none" else connect(cluster, workers=workers)
    with place as client:
        made = resume_run(recording, opened, client)
    tell(figures_of(recording, made.to_xarray()), as_json, "Recording")

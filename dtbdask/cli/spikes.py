"""The verb that hands spikes to other programs."""

from __future__ import annotations

from pathlib import Path

import click

from dtbdask.cli.telling import told

FORMATS = ("sonata", "npz", "parquet", "nwb", "neo")


@click.command("export-spikes")
@click.argument("recording", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMATS), default="sonata", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@told
def export_spikes(recording: Path, out: Path, form: str, overwrite: bool) -> None:
    """Write the spikes of RECORDING as the file OUT."""
    from dtbdask.sim.export import export_spikes as write

    click.echo(str(write(recording, out, form, overwrite=overwrite)))

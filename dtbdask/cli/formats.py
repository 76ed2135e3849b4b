"""Verbs that exchange networks with other programs: DTB's block files and SONATA."""

from __future__ import annotations

from pathlib import Path

import click

from dtbdask.cli.networks import show
from dtbdask.cli.telling import as_json, told

PATH = click.Path(path_type=Path)
DTYPES = ("uint8", "float16", "float32", "float64")
overwrite = click.option("--overwrite", is_flag=True, help="Replace what is there, if it is ours.")


@click.command("import-dtb")
@click.argument("folder", type=PATH)
@click.argument("network", type=PATH)
@click.option(
    "--slots", type=click.Choice(["2", "10"]), default="2", show_default=True,
    help="Populations that DTB numbers in a voxel.",
)  # fmt: skip
@click.option("--member", type=int, help="Take one member of an ensemble whose members differ.")
@overwrite
@as_json
@told
def import_dtb(
    folder: Path, network: Path, slots: str, member: int | None, overwrite: bool, as_json: bool
) -> None:
    """Read the block files of DTB in FOLDER into NETWORK (a new .zarr)."""
    from dtbdask.graph.dtb.importing import import_dtb as read

    made = read(folder, network, slots=int(slots), member=member, overwrite=overwrite)
    show(made, as_json)


@click.command("export-dtb")
@click.argument("network", type=PATH)
@click.argument("folder", type=PATH)
@click.option("--blocks", type=int, help="Files; by default as it was read, or 1.")
@click.option("--dtype", type=click.Choice(DTYPES), help="Of the weights; by default an exact one.")
@click.option("--members", type=int, default=1, show_default=True, help="Copies, as an ensemble.")
@overwrite
@told
def export_dtb(
    network: Path, folder: Path, blocks: int | None, dtype: str | None, members: int,
    overwrite: bool,
) -> None:  # fmt: skip
    """Write NETWORK as block files that DTB reads, into FOLDER."""
    from dtbdask.graph.dtb.exporting import export_dtb as write
    from dtbdask.graph.network import open_network

    written = write(
        open_network(network), folder, blocks=blocks, dtype=dtype, members=members,
        overwrite=overwrite,
    )  # fmt: skip
    click.echo(str(written))


@click.command("import")
@click.argument("config", type=PATH)
@click.argument("network", type=PATH)
@click.option("--format", "form", type=click.Choice(["sonata"]), default="sonata")
@overwrite
@as_json
@told
def import_network(config: Path, network: Path, form: str, overwrite: bool, as_json: bool) -> None:
    """Read the SONATA circuit that CONFIG describes into NETWORK (a new .zarr)."""
    from dtbdask.graph.sonata.importing import import_sonata

    show(import_sonata(config, network, overwrite=overwrite), as_json)


@click.command("export")
@click.argument("network", type=PATH)
@click.argument("folder", type=PATH)
@click.option("--format", "form", type=click.Choice(["sonata"]), default="sonata")
@overwrite
@told
def export_network(network: Path, folder: Path, form: str, overwrite: bool) -> None:
    """Write NETWORK as a SONATA circuit, which NEST and BMTK read, into FOLDER."""
    from dtbdask.graph.network import open_network
    from dtbdask.graph.sonata.exporting import export_sonata

    click.echo(str(export_sonata(open_network(network), folder, overwrite=overwrite)))

"""Verbs on this installation: doctor, verify-dtb, bench, dry-run."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from dtbdask.cli.telling import CONNECTOME, as_json, draw, tell, told


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Say what is here, what is missing, and the command that mends it."""
    from dtbdask import doctor as examination

    found = examination.examine()
    if as_json:
        click.echo(json.dumps(found.to_dict()))
    else:
        draw(examination.render(found))
    sys.exit(0 if found.healthy else 1)


@click.command("verify-dtb")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True
)
@click.option("--blocks", type=int, default=1, show_default=True)
@as_json
@told
def verify_dtb(folder: Path, dtype: str, blocks: int, as_json: bool) -> None:
    """Run the DTB blocks in FOLDER and compare with the trajectory in its ref.npz."""
    from dtbdask.sim.verify import compare

    tell(
        asdict(compare(folder, dtype=dtype, blocks=blocks)),
        as_json,
        f"Against DTB's model, {dtype}",
    )


@click.command()
@click.option("--data", help=f"Brain to build: {CONNECTOME}; by default a generated one.")
@click.option("--neurons", type=int, default=100_000, show_default=True)
@click.option("--degree", type=int, default=100, show_default=True)
@click.option("--threads", type=int, help="Of the headline run; by default all cores.")
@click.option(
    "--repeats",
    type=int,
    default=3,
    show_default=True,
    help="Runs; the median counts.",
)
@click.option(
    "--peers",
    type=click.Path(path_type=Path),
    help="Folder of environments of other simulators: compare with them instead.",
)
@click.option(
    "--longest",
    type=float,
    default=1800,
    show_default=True,
    help="Seconds after which a run of a peer is given up.",
)
@as_json
@told
def bench(
    data: str | None, neurons: int, degree: int, threads: int | None, repeats: int,
    peers: Path | None, longest: float, as_json: bool,
) -> None:  # fmt: skip
    """Time the wiring and the simulation of the default network on this machine."""
    from dtbdask.bench import cores, measure
    from dtbdask.brain.connectome import read_connectome
    from dtbdask.brain.synthetic import synthetic_connectome

    brain = read_connectome(data) if data else synthetic_connectome()
    asked = {"neurons": neurons, "degree": degree, "threads": threads or cores()}
    title = f"{brain.attrs['source']}, {neurons:,} neurons x {degree}, {asked['threads']} threads"
    if peers is None:
        tell(measure(brain, repeats=repeats, **asked), as_json, title)
        return
    from dtbdask.peers.comparison import compare, table

    compared = compare(brain, peers, repeats=repeats, longest_s=longest, **asked)
    if as_json:
        click.echo(json.dumps({figures.name: figures.values for figures in compared}))
    else:
        draw(table(compared, title))


@click.command("dry-run")
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--workers", type=int, required=True, help="One block on each.")
@click.option("--rank", type=int, default=0, show_default=True, help="Which block.")
@click.option("--rate", type=float, default=10.0, show_default=True, help="Mean firing rate, Hz.")
@click.option("--steps", type=int, default=200, show_default=True)
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--workers-per-host", type=int, help="Row of the grid; by default the root of all.")
@as_json
@told
def dry_run(
    network: Path, workers: int, rank: int, rate: float, steps: int, threads: int,
    workers_per_host: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Make one block of NETWORK as if among many, and count what it holds, hears and would send."""
    from rich.table import Table

    from dtbdask.graph.network import open_network
    from dtbdask.sim.dry_run import dry_run as rehearse

    lines = rehearse(
        open_network(network), workers, rank, steps=steps, rate_hz=rate, threads=threads,
        row=workers_per_host,
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines]))
        return
    table = Table("", "found", "planned", title=f"Block {rank} of {workers:,}")
    for line in lines:
        figures = ("" if x is None else f"{x:,.{0 if x >= 10 else 2}f}" for x in line.figures)
        table.add_row(line.name, *figures)
    draw(table)

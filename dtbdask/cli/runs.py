"""Verbs that run or show: demo, run, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dtbdask.cli.telling import CONNECTOME, as_json, tell, told

if TYPE_CHECKING:
    import xarray as xr


@click.command()
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


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("recording", type=click.Path(path_type=Path))
@click.option(
    "--seconds", type=float, default=10.0, show_default=True, help="Biological time to record."
)
@click.option("--burn-in", type=float, default=1.0, show_default=True, help="Seconds before that.")
@click.option(
    "--record", default="rate,bold", show_default=True,
    help="Of rate, bold, spikes, v_mean, current_mean, receptor_current, sample.",
)  # fmt: skip
@click.option("--bin", "bin_ms", type=float, help="Sum counts and take means over so many ms.")
@click.option(
    "--sample", multiple=True, help="Neurons of a population to look at singly: name=number."
)
@click.option("--sample-every", type=float, help="Time between two looks at them, ms.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--tr", type=float, default=0.8, show_default=True, help="Time between BOLD frames, s."
)
@click.option(
    "--cluster", default="local", show_default=True,
    help="local, cuda, slurm, none, or a scheduler.",
)  # fmt: skip
@click.option("--workers", type=int, help="Of a local cluster: 2; or devices: all.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where it runs; the spikes are the same.",
)  # fmt: skip
@click.option(
    "--exchange", type=click.Choice(["auto", "shm", "tcp", "tls", "ucx"]), default="auto",
    show_default=True, help="How workers hand each other spikes.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a recording that is there.")
@click.option(
    "--checkpoint-every", type=float, help="Biological time between checkpoints, s: see resume."
)
@click.option("--checkpoint-wall", type=float, help="Time on the clock between checkpoints, s.")
@click.option("--timing", is_flag=True, help="Tell what the time of a step was spent on.")
@as_json
@told
def run(
    network: Path, recording: Path, seconds: float, burn_in: float, record: str,
    bin_ms: float | None, sample: tuple[str, ...], sample_every: float | None, seed: int,
    tr: float, cluster: str, workers: int | None, device: str, exchange: str, overwrite: bool,
    checkpoint_every: float | None, checkpoint_wall: float | None, timing: bool, as_json: bool,
) -> None:  # fmt: skip
    """Simulate NETWORK and write RECORDING (a new .zarr)."""
    from contextlib import nullcontext

    from dtbdask.cli.networks import pairs
    from dtbdask.cluster import connect
    from dtbdask.graph.network import open_network
    from dtbdask.sim.session import Session

    options: dict[str, Any] = {
        "overwrite": overwrite, "bin_ms": bin_ms, "sample_every": sample_every,
        "samples": pairs("sample", sample) or None, "checkpoint_every": checkpoint_every,
        "checkpoint_wall": checkpoint_wall,
    }  # fmt: skip
    opened = open_network(network)
    place = nullcontext(None) if cluster == "none" else connect(cluster, workers=workers)
    how: dict[str, Any] = {"seed": seed, "tr_s": tr, "device": device, "exchange": exchange}
    with place as client, Session(opened, client, **how) as session:
        quantities = [quantity.strip() for quantity in record.split(",")]
        session.check_run(seconds, quantities, recording, **options)
        if burn_in:
            session.run(burn_in)
        made = session.run(seconds, record=quantities, to=recording, **options)
        spent = session.timing().figures() if timing else {}
    assert made is not None
    figures = figures_of(recording, made.to_xarray())
    tell(figures | ({"timing": spent} if as_json and timing else {}), as_json, "Recording")
    if timing and not as_json:
        tell(spent, as_json, "Time of a step")


def figures_of(path: Path, data: xr.Dataset) -> dict[str, Any]:
    """What is told of a finished recording."""
    seconds = data.attrs["n_steps"] * data.attrs["dt_ms"] / 1000
    figures: dict[str, Any] = {"recording": str(path), "seconds": seconds}
    if "spike_count" in data:
        rate = float(data["spike_count"].sum()) / data.attrs["n_neurons"] / seconds
        figures["mean_rate_hz"] = rate
    return figures


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default="report.html", show_default=True)
@click.option("--connectome", help=CONNECTOME[0].upper() + CONNECTOME[1:] + ".")
@click.option("--network", type=click.Path(path_type=Path))
@click.option("--recording", type=click.Path(path_type=Path))
@click.option("--other", type=click.Path(path_type=Path), help="Recording to compare with.")
@click.option("--posterior", type=click.Path(path_type=Path))
@click.option("--twin", type=click.Path(path_type=Path), help="Posterior of a twin experiment.")
@click.option("--title", default="Whole-brain simulation", show_default=True)
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder for PNGs of all figures.")
@told
def report(
    out: Path, connectome: str | None, network: Path | None, recording: Path | None,
    other: Path | None, posterior: Path | None, twin: Path | None, title: str,
    pictures: Path | None,
) -> None:  # fmt: skip
    """Draw whatever is given as one self-contained HTML page."""
    from dtbdask import viz
    from dtbdask.assim.opening import open_posterior
    from dtbdask.brain.connectome import read_connectome
    from dtbdask.graph.network import open_network
    from dtbdask.sim.recording import open_recording

    viz.report(
        out,
        brain=read_connectome(connectome) if connectome else None,
        recording=open_recording(recording).to_xarray() if recording else None,
        posterior=open_posterior(posterior) if posterior else None,
        twin=open_posterior(twin) if twin else None,
        title=title,
        pictures=pictures,
        network=open_network(network) if network else None,
        other=open_recording(other).to_xarray() if other else None,
    )
    click.echo(str(out))

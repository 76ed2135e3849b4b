"""A saved picture is whole: it needs no other file and no network."""

import pytest
from viz.page_checks import assert_self_contained

from dtbdask.errors import InputError
from dtbdask.viz import bold_traces, connectivity_matrix, save


@pytest.mark.parametrize(
    ("suffix", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".SVG", b"<?xml")]
)
def test_matplotlib_writes_images(brain, tmp_path, suffix, head):
    path = save(connectivity_matrix(brain), tmp_path / f"matrix{suffix}")
    assert path.read_bytes().startswith(head)


def test_bokeh_writes_a_page_that_loads_nothing(posterior, tmp_path):
    path = save(bold_traces(posterior), str(tmp_path / "a<b.html"))
    text = path.read_text(encoding="utf-8")
    assert_self_contained(text)
    assert "<title>a&lt;b</title>" in text


def test_compositions_are_saved_too(brain, tmp_path):
    from dtbdask.viz import functional_connectivity

    both = connectivity_matrix(brain) + functional_connectivity(brain)
    for name in ("both.png", "both.html"):
        assert save(both, tmp_path / name).stat().st_size > 10_000


def test_unknown_ending_is_refused_before_anything_is_written(brain, tmp_path):
    with pytest.raises(InputError, match=r"'\.gif'.*\.png, \.svg or \.html"):
        save(connectivity_matrix(brain), tmp_path / "matrix.gif")
    assert not list(tmp_path.iterdir())

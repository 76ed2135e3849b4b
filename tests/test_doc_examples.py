"""The Python of pages that say their examples run is run, block after block."""

import re
from pathlib import Path

import pytest
from networks import make_network

import dtbdask as dtb

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("page", ["stimuli.md"])
def test_the_examples_of_a_page_run(page):
    examples = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert len(examples) > 3
    names = {"dtb": dtb, "network": make_network()}
    for example in examples:
        exec(compile(example, page, "exec"), names)  # our own text
    assert len(names["session"].changes) == 13
    names["session"].close()

"""What every page must keep: it loads nothing, and text is text."""

import re
from html.parser import HTMLParser

LOADS = ("src", "href", "srcset", "data", "poster", "action", "formaction", "background")


class Page(HTMLParser):
    """Elements with their attributes, the text outside scripts, and the text of style sheets."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.words, self.styles, self.within = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.within = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self.within = ""

    def handle_data(self, data):
        if self.within == "style":
            self.styles.append(data)
        elif not self.within:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def assert_self_contained(text):
    page = Page(text)
    assert page.all("script")
    assert all("src" not in attributes for attributes in page.all("script"))
    assert not page.all("link")
    assert not page.all("iframe")
    assert not page.all("base")
    for _, attributes in page.elements:
        for name in LOADS:
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), address
    assert not re.search(r"url\(|@import", " ".join(page.styles))
    assert not re.search(r"url\(\s*[\"']?https?://", text)
    return page

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgecam_engines.html import Report

NASTY = "<script>alert('x')</script> & \"grün\""


class Reader(HTMLParser):
    """Which tags there are, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def page(tmp_path: Path) -> Reader:
    (tmp_path / "a.png").write_bytes(b"\x89PNG picture")
    report = Report(NASTY)
    report.heading(NASTY)
    report.text(NASTY)
    report.table((NASTY,), [[NASTY], ["97.5 %"], [12]])
    report.picture(tmp_path / "a.png", NASTY)
    report.save(tmp_path / "report.html")
    reader = Reader()
    reader.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    return reader


def test_no_text_becomes_a_tag_wherever_it_stands(page: Reader) -> None:
    assert "script" not in page.tags
    assert page.words.count(NASTY) == 7  # title, two headings, paragraph, two cells, caption
    assert page.attributes["alt"] == NASTY


def test_a_picture_is_in_the_file_and_nothing_is_fetched(page: Reader) -> None:
    source = page.attributes["src"]
    assert source is not None
    kind, data = source.split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == b"\x89PNG picture"
    assert "link" not in page.tags
    assert "script" not in page.tags


def test_numbers_are_set_right_and_words_left(tmp_path: Path) -> None:
    report = Report("x")
    report.table(("a", "b"), [["97.5 %", "cat"], [3, "-0.5"]])
    report.save(tmp_path / "r.html")
    cells = re.findall(r"<td( class=\"number\")?>(.*?)</td>", (tmp_path / "r.html").read_text())
    assert {text for marked, text in cells if marked} == {"97.5 %", "3", "-0.5"}

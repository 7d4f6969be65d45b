"""What is read off a captured page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.search import pdf
from healtharchive.search.extract import MOST_HEADINGS, kind_of, page_text
from tests.lab.pdf import one_page_pdf

ACCENTS = "<title>Santé</title><p>Éviter la grippe à l’école</p>"


@pytest.mark.parametrize(
    ("encoding", "content_type", "meta"),
    [
        ("utf-8", "text/html; charset=UTF-8", ""),
        ("cp1252", 'text/html; charset="ISO-8859-1"', ""),
        ("cp1252", "text/html", '<meta charset="windows-1252">'),
        ("utf-8", "text/html", '<meta http-equiv=content-type content="text/html; charset=utf-8">'),
        ("utf-8-sig", "text/html; charset=iso-8859-1", ""),
        ("utf-16", "text/html", ""),
        ("utf-8", "text/html; charset=nonsense", '<meta charset="utf-8">'),
    ],
)
def test_the_character_set_is_found(encoding: str, content_type: str, meta: str) -> None:
    page = page_text((meta + ACCENTS).encode(encoding), "html", content_type)
    assert page.title == "Santé"
    assert "Éviter la grippe à l’école" in page.text


def test_menus_scripts_and_comments_are_no_text() -> None:
    page = page_text(
        b"<html lang=fr-CA><title> A \n title </title><nav>Menu</nav><script>var x</script>"
        b"<style>p{}</style><!-- note --><main><p>The words</p><p hidden>x</p></main>"
        b"<footer>Terms</footer>",
        "html",
    )
    assert (page.title, page.language, page.kind) == ("A title", "fr", "html")
    assert "The words" in page.text
    for word in ("Menu", "var x", "p{}", "note", "Terms"):
        assert word not in page.text


def test_a_page_that_is_all_header_keeps_its_text() -> None:
    assert "Only this" in page_text(b"<header><p>Only this</p></header>", "html").text


def test_a_page_without_a_title_has_its_heading() -> None:
    assert page_text(b"<h1>Big  <b>words</b></h1><p>x", "html").title == "Big words"


def test_the_headings_of_sections_are_told_once_each_and_not_without_end() -> None:
    sections = (
        "<h1>Measles </h1><h2>At\n <em>school</em></h2><h4>Deep</h4><h2></h2><h3>Measles</h3>"
    )
    assert page_text(sections.encode(), "html").headings == "Measles\nAt school"
    many = "".join(f"<h2>Section {number}</h2><p>Text.</p>" for number in range(20_000))
    assert len(page_text(many.encode(), "html").headings.splitlines()) == MOST_HEADINGS
    assert page_text(b"Measles", "text").headings == ""


def test_plain_text_has_its_first_line_as_title() -> None:
    page = page_text(b"\n First line\nsecond\n", "text", "text/plain; charset=utf-8")
    assert page.title == "First line"
    assert "second" in page.text


def test_a_pdf_gives_its_text() -> None:
    page = page_text(one_page_pdf("Hygiene guide for hospitals"), "pdf")
    assert page.title == "Hygiene guide for hospitals"
    assert (page.kind, page.problem) == ("pdf", "")


@pytest.mark.parametrize("cut", [0, 9, 100, 400, 600])
def test_a_damaged_pdf_says_so_and_never_raises(cut: int) -> None:
    page = page_text(one_page_pdf("Hygiene guide")[:cut], "pdf")
    assert page.text or page.problem


def test_an_endless_pdf_costs_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_: object) -> str:
        while True:
            pass

    monkeypatch.setattr("pypdf.PageObject.extract_text", endless)
    monkeypatch.setattr(pdf, "MOST_CPU_SECONDS", 0.05)
    assert "took longer" in pdf.pdf_text(one_page_pdf("Hygiene guide")).problem


def test_equal_pages_have_equal_digests() -> None:
    one = page_text(b"<title>A</title><p>words</p><nav>1</nav>", "html")
    two = page_text(b"<title>A</title><p>words</p><nav>2</nav>", "html")
    other = page_text(b"<title>A</title><p>other</p>", "html")
    assert one.digest == two.digest != other.digest


def test_only_pages_that_can_be_read_have_a_kind() -> None:
    assert kind_of("text/html") == kind_of("application/xhtml+xml") == "html"
    assert kind_of("application/pdf") == "pdf"
    assert kind_of("text/plain") == "text"
    assert kind_of("text/css") == kind_of("image/png") == kind_of(None) == ""


@given(st.binary(max_size=2000), st.sampled_from(["html", "text", "pdf"]), st.text(max_size=60))
def test_no_body_raises_and_no_text_has_what_databases_refuse(
    body: bytes, kind: str, content_type: str
) -> None:
    page = page_text(body, kind, content_type)
    for text in (page.title, page.text):
        assert "\0" not in text
        text.encode()

"""Archived pages and style sheets made harmless: nothing runs, nothing reaches out."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from healtharchive.web import stylesheets
from healtharchive.web.doorway import NOTHING, Doorway
from healtharchive.web.isolate import REMOVED, isolate

DOORWAY = Doorway("https://www.canada.ca/en/x/page.html?q=1", "20260124062801", "fr")
AT = "/at/20260124062801/"


def archived(url: str) -> str:
    """The URL that an address of the archive stands for."""
    return unquote(url.partition("/at/20260124062801/")[2])


def attribute(html: str, selector: str, name: str) -> str | None:
    node = LexborHTMLParser(isolate(html, DOORWAY)).css_first(selector)
    return None if node is None else node.attributes.get(name)


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<script src=//evil.example/x.js></script>",
        "<svg><script>alert(1)</script></svg>",
        "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
        "<iframe src=https://evil.example/></iframe>",
        "<iframe srcdoc='<script>1</script>'></iframe>",
        "<object data=https://evil.example/></object>",
        "<embed src=https://evil.example/>",
        "<base href=https://evil.example/>",
        "<template><img src=https://evil.example/></template>",
        "<svg><a><set attributeName=href to=https://evil.example/ /></a></svg>",
        "<link rel=preconnect href=https://evil.example/>",
        "<link rel=prefetch href=https://evil.example/>",
        "<link rel=manifest href=https://evil.example/>",
        "<form action=https://evil.example/><input name=q></form>",
        "<button formaction=https://evil.example/>b</button>",
        "<a href=javascript:alert(1)>x</a>",
        "<a href=' \tjava\nscript:alert(1)'>x</a>",
        "<svg><a xlink:href=javascript:alert(1)>x</a></svg>",
        "<a ping=https://evil.example/ href=#x>x</a>",
        "<img src='data:text/html,<script>1</script>'>",
        "<a href=mailto:x@evil.example>x</a>",
        "<a href=vbscript:x>x</a>",
        "<img src=http://[bad>",
    ],
)
def test_what_runs_or_reaches_out_is_gone(hostile: str) -> None:
    html = isolate(f"<!DOCTYPE html><body>{hostile}<p>kept", DOORWAY)
    assert "evil.example" not in html
    assert "alert" not in html.replace("evil", "")
    assert "script:" not in html
    assert "kept" in html


def test_event_handlers_are_gone_whatever_their_name() -> None:
    html = isolate("<body onload=a()><p onclick=b() ONMOUSEOVER=c() onfuture=d()>x", DOORWAY)
    assert not re.search(r"\son\w+=", html, re.IGNORECASE)


@pytest.mark.parametrize(
    ("html", "selector", "name", "url"),
    [
        ("<img src=a.png>", "img", "src", "https://www.canada.ca/en/x/a.png"),
        ("<img src=//cdn.example/a.png>", "img", "src", "https://cdn.example/a.png"),
        (
            "<link rel=stylesheet href=/s.css?v=1>",
            "link",
            "href",
            "https://www.canada.ca/s.css?v=1",
        ),
        ("<base href=/fr/><img src=a%20b.png>", "img", "src", "https://www.canada.ca/fr/a%20b.png"),
        ("<video poster=p.png></video>", "video", "poster", "https://www.canada.ca/en/x/p.png"),
        ("<svg><image href=i.png /></svg>", "image", "href", "https://www.canada.ca/en/x/i.png"),
        (
            "<table background=b.gif></table>",
            "table",
            "background",
            "https://www.canada.ca/en/x/b.gif",
        ),
    ],
)
def test_requisites_come_from_the_archive(html: str, selector: str, name: str, url: str) -> None:
    address = attribute(html, selector, name)
    assert address is not None
    assert address.startswith(AT)
    assert archived(address) == url


def test_links_open_the_other_captures_page_in_the_readers_language() -> None:
    html = "<a href='../z.html#part' target=_blank>z</a>"
    address = attribute(html, "a", "href")
    assert address is not None
    assert address.startswith("/fr/at/20260124062801/")
    assert archived(address) == "https://www.canada.ca/en/z.html"
    assert attribute(html, "a", "target") == "_top"


def test_links_within_the_page_stay_within_it() -> None:
    html = "<a href='https://www.canada.ca/en/x/page.html?q=1#part'>z</a>"
    assert attribute(html, "a", "href") == "#part"
    assert attribute(html, "a", "target") is None


def test_srcset_keeps_its_descriptors() -> None:
    html = "<img srcset='a.png 1x,b,c.png 2x, //e.example/d.png 300w'>"
    srcset = attribute(html, "img", "srcset") or ""
    candidates = [candidate.split(" ") for candidate in srcset.split(", ")]
    assert [(archived(url), width) for url, width in candidates] == [
        ("https://www.canada.ca/en/x/a.png", "1x"),
        ("https://www.canada.ca/en/x/b,c.png", "2x"),
        ("https://e.example/d.png", "300w"),
    ]


def test_form_fields_are_disabled() -> None:
    html = isolate("<form><input><select></select><textarea></textarea><button>", DOORWAY)
    assert html.count(" disabled=") == 4


def test_style_elements_and_attributes_load_from_the_archive_only() -> None:
    html = isolate(
        "<style>@import 'z.css'; a{background:url(//evil.example/q.png)}</style>"
        "<p style=\"background:url('i.png')\">x",
        DOORWAY,
    )
    assert "//evil.example" not in html
    assert html.count("/at/20260124062801/") == 3


def test_a_style_sheet_cannot_end_its_element() -> None:
    hostile = "<svg><style>&lt;/style>&lt;img src=https://evil.example/></style></svg>"
    html = isolate(hostile, DOORWAY)
    tree = LexborHTMLParser(html)
    assert tree.css_first("img") is None


@pytest.mark.parametrize(
    ("css", "expected"),
    [
        ("a{b:url(c.png)}", f'a{{b:url("{AT}https%3A%2F%2Fwww.canada.ca%2Fen%2Fx%2Fc.png")}}'),
        ("a{b:url( 'c.png' )}", f'a{{b:url("{AT}https%3A%2F%2Fwww.canada.ca%2Fen%2Fx%2Fc.png")}}'),
        ('@import "c.css";', f'@import url("{AT}https%3A%2F%2Fwww.canada.ca%2Fen%2Fx%2Fc.css");'),
        ("a{b:url(data:image/png;base64,AA==)}", 'a{b:url("data:image/png;base64,AA==")}'),
        ("a{b:url(javascript:x)}", f'a{{b:url("{NOTHING}")}}'),
        ("p{color:red}", "p{color:red}"),
    ],
)
def test_style_sheets_point_into_the_archive(css: str, expected: str) -> None:
    assert stylesheets.rewrite(css, DOORWAY) == expected


@given(st.text(alphabet=st.sampled_from("ur l(\"')@import\\\n;a/:"), max_size=80))
def test_rewriting_any_style_sheet_leaves_no_reference_outside(css: str) -> None:
    once = stylesheets.rewrite(css, DOORWAY)
    for reference in re.findall(r'url\("([^"]*)"\)', once):
        assert reference.startswith(("/at/", "#", NOTHING, "data:"))


@example(["<a href=", "<img src=", ">"])
@given(
    st.lists(
        st.sampled_from(
            ["<a href=", "//e.example", "<img src=", ">", "'", '"', "<svg>", "<style>", "</style>",
             "<!--", "-->", "<script>", "</script>", "<title>", "<noscript>", "<table>", " onx=1",
             "<math>", "<mtext>", "<p>", "&lt;", "]]>", "<![CDATA[", "<textarea>", "</textarea>"]
        ),
        max_size=25,
    )
)  # fmt: skip
def test_no_arrangement_of_tags_lets_anything_through(pieces: list[str]) -> None:
    # Twice: a browser parses again what we wrote.
    tree = LexborHTMLParser(isolate("".join(pieces), DOORWAY))
    for node in tree.css("*"):
        assert (node.tag or "").lower() not in REMOVED
        for name, value in node.attributes.items():
            assert not name.lower().startswith("on")
            assert name != "src" or (value or "").startswith("/at/")

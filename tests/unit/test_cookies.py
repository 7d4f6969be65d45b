"""Cookies by RFC 6265, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.cookies import MOST_PER_HOST, CookieJar
from tests.unit.test_addresses import Clock

URL = "https://www.a.example/docs/page"


def jar_with(*lines: str, url: str = URL) -> CookieJar:
    jar = CookieJar(Clock())
    jar.store(url, [("Set-Cookie", line) for line in lines])
    return jar


def test_a_cookie_goes_back_to_its_host_and_path_only() -> None:
    jar = jar_with("a=1", "b=2; Path=/")
    assert jar.header("https://www.a.example/docs/other") == "a=1; b=2"
    assert jar.header("https://www.a.example/") == "b=2"
    assert jar.header("https://www.a.example/docsother") == "b=2"
    assert jar.header("https://other.example/docs/page") is None


def test_a_domain_cookie_goes_to_its_hosts_and_a_foreign_one_is_refused() -> None:
    jar = jar_with("a=1; Domain=.a.example; Path=/", "b=2; Domain=b.example; Path=/")
    assert jar.header("https://static.a.example/") == "a=1"
    assert jar.header("https://b.example/") is None
    assert jar_with("c=3; Domain=example; Path=/").header("https://x.example/") is None


def test_a_secure_cookie_is_not_sent_in_the_open() -> None:
    jar = jar_with("a=1; Secure; Path=/")
    assert jar.header("http://www.a.example/") is None
    assert jar.header("https://www.a.example/") == "a=1"


def test_cookies_end_and_are_taken_back() -> None:
    assert jar_with("a=1; Max-Age=0; Path=/").header(URL) is None
    assert jar_with("a=1; Expires=Thu, 01-Jan-1960 00:00:00 GMT; Path=/").header(URL) is None
    assert jar_with("a=1; Path=/", "a=; Max-Age=-1; Path=/").header(URL) is None
    assert jar_with("a=1; Max-Age=60; Path=/").header(URL) == "a=1"


def test_no_site_can_fill_our_memory() -> None:
    jar = jar_with(*(f"c{number}=1; Path=/" for number in range(MOST_PER_HOST * 3)))
    header = jar.header(URL)
    assert header is not None
    assert len(header.split("; ")) == MOST_PER_HOST


ATTRIBUTES = st.sampled_from(("Max-Age", "Expires", "Domain", "Path", "Secure", ""))
VALUES = st.one_of(
    st.text(max_size=40),
    st.text("-1\u00b2", max_size=4),
    st.sampled_from(("GMT", "+0100", "+9999", "+" + "9" * 17)).map("01 Jan 2026 00:00:00 ".__add__),
)


@given(st.text(max_size=80), st.lists(st.tuples(ATTRIBUTES, VALUES), max_size=4), st.text())
def test_no_line_raises(pair: str, attributes: list[tuple[str, str]], path: str) -> None:
    for begin in (pair, "a=b"):
        jar = jar_with("; ".join([begin, *(f"{name}={value}" for name, value in attributes)]))
        jar.header(f"https://www.a.example/{path}")


@pytest.mark.parametrize(
    "attribute",
    ["Max-Age=--5", "Max-Age=\u00b2", "Expires=Thu, 01 Jan 2026 00:00:00 +99999999999999999"],
)
def test_an_end_that_cannot_be_read_is_no_end(attribute: str) -> None:
    assert jar_with(f"a=1; Path=/; {attribute}").header(URL) == "a=1"


@pytest.mark.parametrize("suffix", ["gc.ca", "co.uk", "github.io"])
def test_no_cookie_is_of_all_who_may_register_a_name(suffix: str) -> None:
    jar = jar_with(f"a=1; Domain={suffix}; Path=/", url=f"https://www.one.{suffix}/")
    assert jar.header(f"https://www.two.{suffix}/") is None
    assert jar.header(f"https://www.one.{suffix}/") is None
    shared = jar_with(f"a=1; Domain=one.{suffix}; Path=/", url=f"https://www.one.{suffix}/")
    assert shared.header(f"https://static.one.{suffix}/") == "a=1"


def test_a_host_below_which_others_register_keeps_its_cookie_to_itself() -> None:
    jar = jar_with("a=1; Domain=github.io; Path=/", url="https://github.io/")
    assert jar.header("https://github.io/") == "a=1"
    assert jar.header("https://somebody.github.io/") is None

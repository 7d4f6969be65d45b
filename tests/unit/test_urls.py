"""One address, one spelling: canonical URLs."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.urls import canonicalize, host_of, origin_of

TEXT = st.text(max_size=60)
URLISH = st.text(alphabet=st.sampled_from("abcXYZ019-._~/:?#[]@!$&'()*+,;=%é \\\t"), max_size=60)
NAMES = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)


@given(st.one_of(TEXT, URLISH.map("http://a.example/".__add__), URLISH))
def test_whatever_comes_in_the_result_is_canonical_already_or_none(text: str) -> None:
    once = canonicalize(text)
    if once is None:
        return
    assert canonicalize(once) == once
    parts = urlsplit(once)
    assert parts.scheme in ("http", "https")
    assert parts.hostname
    assert once.isascii()
    assert "#" not in once
    assert not any(character.isspace() for character in once)


@given(st.one_of(TEXT, URLISH), st.one_of(TEXT, URLISH))
def test_joining_anything_to_anything_never_raises(base: str, reference: str) -> None:
    joined = canonicalize(reference, base)
    assert joined is None or canonicalize(joined) == joined


@given(st.lists(NAMES, min_size=1, max_size=4), NAMES, NAMES)
def test_spellings_of_one_address_are_one_url(path: list[str], host: str, value: str) -> None:
    plain = f"http://{host}.example/{'/'.join(path)}?q={value}"
    assert canonicalize(plain) == plain
    spellings = (
        f"HTTP://{host.upper()}.EXAMPLE:80/{'/'.join(path)}?q={value}#part",
        f"  http://{host}.example/./x/../{'/'.join(path)}?q={value}\n",
        f"http://user:secret@{host}.example/{'/'.join(path)}?q={value}",
        f"http://{host}.example/{'/'.join(path)};jsessionid=AB12?q={value}&PHPSESSID=77aa",
    )
    assert {canonicalize(each) for each in spellings} == {plain}


@pytest.mark.parametrize(
    ("reference", "base", "expected"),
    [
        ("../c.html", "http://a.example/x/y/z.html", "http://a.example/x/c.html"),
        ("?b=2", "http://a.example/x?a=1", "http://a.example/x?b=2"),
        ("//b.example", "https://a.example/", "https://b.example/"),
        ("\\x\\y", "http://a.example/", "http://a.example/x/y"),
        ("/%7Efoo%2fbar", "http://a.example/", "http://a.example/~foo%2Fbar"),
        ("/é?x=ü", "http://a.example/", "http://a.example/%C3%A9?x=%C3%BC"),
        ("/100%", "http://a.example/", "http://a.example/100%25"),
        ("http://bücher.example", None, "http://xn--bcher-kva.example/"),
        ("https://faß.de/", None, "https://xn--fa-hia.de/"),  # not fass.de, another's domain
        ("https://FAẞ.de/", None, "https://xn--fa-hia.de/"),
        ("https://☃.example/", None, "https://xn--n3h.example/"),
        ("https://a。bücher。example/", None, "https://a.xn--bcher-kva.example/"),
        ("http://a..bücher/", None, None),
        ("http://ü％00.example/", None, None),
        (f"http://{'ü' * 70}.example/", None, None),
        ("https://a.example:443/", None, "https://a.example/"),
        ("https://a.example:80/", None, "https://a.example:80/"),
        ("http://[2001:DB8::1]:80/", None, "http://[2001:db8::1]/"),
        ("http://[2001:db8:0:0:0:0:0:01]/", None, "http://[2001:db8::1]/"),
        ("///b.example/x", "https://a.example/y", "https://b.example/x"),
        ("x?path=\\y", "http://a.example/", "http://a.example/x?path=\\y"),
        ("http://a.example/?", None, "http://a.example/"),
        ("/l'eau?q=l'eau", "http://a.example/", "http://a.example/l'eau?q=l%27eau"),
        ("?q=l%27eau", "http://a.example/", "http://a.example/?q=l%27eau"),
        ("mailto:x@a.example", None, None),
        ("javascript:void(0)", "http://a.example/", None),
        ("http://", None, None),
        ("http://a b/", None, None),
        ("http://a.example:99999/", None, None),
    ],
)
def test_examples(reference: str, base: str | None, expected: str | None) -> None:
    assert canonicalize(reference, base) == expected


def test_the_origin_and_host_of_a_url() -> None:
    assert origin_of("https://a.example:8443/x?y") == "https://a.example:8443"
    assert host_of("https://a.example:8443/x?y") == "a.example"
    assert host_of("http://[2001:db8::1]:8080/") == "2001:db8::1"

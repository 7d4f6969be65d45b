"""Scope: which URLs belong to a source, and by which rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.scope import Scope
from healtharchive.crawl.sources import load_all
from healtharchive.model.errors import BadInput
from healtharchive.model.source import ScopeRules

SHIPPED = load_all(None)
PATHS = st.lists(
    st.sampled_from(
        ["en", "fr", "health-canada", "public-health", "sante-canada", "sante-publique", "x.html"]
    ),
    max_size=5,
).map(lambda parts: "https://www.canada.ca/" + "/".join(parts))


@given(PATHS, st.booleans())
def test_health_canada_and_the_public_health_agency_never_share_a_page(
    url: str, asset: bool
) -> None:
    hc, phac = (Scope(SHIPPED[code].scope).decide(url, asset) for code in ("hc", "phac"))
    assert not (hc.in_scope and phac.in_scope)


@given(PATHS)
def test_what_is_excluded_is_out_whatever_includes_it(url: str) -> None:
    rules = ScopeRules(hosts=("www.canada.ca",), include=("canada",), exclude=("/en/",))
    decision = Scope(rules).decide(url)
    assert decision.in_scope == ("/en/" not in url)


@given(PATHS)
def test_no_url_of_another_host_is_in_scope(url: str) -> None:
    elsewhere = url.replace("www.canada.ca", "www.canada.ca.example")
    for definition in SHIPPED.values():
        assert not Scope(definition.scope).decide(elsewhere).in_scope


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://www.canada.ca/en/health-canada.html", "hc"),
        ("https://www.canada.ca/en/health-canada/services/drugs.html", "hc"),
        ("https://www.canada.ca/fr/sante-canada/services.html", "hc"),
        ("https://www.canada.ca/en/public-health/services.html", "phac"),
        ("https://www.canada.ca/fr/sante-publique.html", "phac"),
        ("https://cihr-irsc.gc.ca/e/193.html", "cihr"),
    ],
)
def test_pages_of_the_shipped_sources(url: str, source: str) -> None:
    scopes = {code: Scope(each.scope) for code, each in SHIPPED.items()}
    assert [code for code, scope in scopes.items() if scope.decide(url).in_scope] == [source]


def test_a_prefix_ends_on_a_segments_border() -> None:
    scope = Scope(SHIPPED["hc"].scope)
    assert not scope.decide("https://www.canada.ca/en/health-canadafoo/x.html").in_scope


def test_assets_are_in_scope_only_as_assets() -> None:
    scope = Scope(SHIPPED["hc"].scope)
    image = "https://www.canada.ca/content/dam/hc-sc/images/logo.png"
    assert scope.decide(image, asset=True).in_scope
    assert not scope.decide(image).in_scope


def test_query_variants_of_a_page_are_left_out_or_stripped() -> None:
    assert not Scope(SHIPPED["cihr"].scope).decide("https://cihr-irsc.gc.ca/e/1.html?a=1").in_scope
    stripping = Scope(ScopeRules(hosts=("a.example",), query="strip"))
    assert stripping.decide("http://a.example/x?y=1").url == "http://a.example/x"
    assert stripping.decide("http://a.example/x.css?v=1", asset=True).url.endswith("?v=1")


@pytest.mark.parametrize(
    ("path", "asset", "kept"),
    [
        ("css/site.css?v=3", True, True),
        ("img/Logo.PNG?2026", True, True),
        ("static/app?v=3", True, True),  # by the asset rule
        ("chart.php?id=3", True, False),
        ("css/site.css?v=3", False, False),  # as a page
        ("e/1.html?print=1", False, False),
        ("e/1.html", False, True),
    ],
)
def test_without_query_variants_assets_keep_their_version(
    path: str, asset: bool, kept: bool
) -> None:
    rules = replace(SHIPPED["cihr"].scope, asset_prefixes=("/static",))
    url = f"https://cihr-irsc.gc.ca/{path}"
    decision = Scope(rules).decide(url, asset)
    assert (decision.in_scope, decision.url) == (kept, url)


def test_a_rule_that_would_hang_others_is_decided_at_once() -> None:
    scope = Scope(ScopeRules(hosts=("a.example",), exclude=("(a+)+$",)))
    assert scope.decide("http://a.example/" + "a" * 2000 + "!").in_scope


def test_a_rule_that_is_no_expression_is_named() -> None:
    with pytest.raises(BadInput, match=r"\(unclosed"):
        Scope(ScopeRules(hosts=("a.example",), include=("(unclosed",)))

"""robots.txt by RFC 9309."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healtharchive.crawl.robots import parse, product_token

AGENT = "HealthArchive/1"
SITE = "https://a.example"


def allowed(body: str, path: str, agent: str = AGENT) -> bool:
    return parse(200, body.encode()).verdict(agent, SITE + path)[0]


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ("Disallow: /private/", "/private/x", False),
        ("Disallow: /private/", "/privately", True),
        ("Disallow: /\nAllow: /en/", "/en/x", True),
        ("Disallow: /en/secret\nAllow: /en/", "/en/secret", False),
        ("Allow: /page\nDisallow: /page", "/page", True),
        ("Disallow: /*.pdf$", "/x/y.pdf", False),
        ("Disallow: /*.pdf$", "/x/y.pdf?z", True),
        ("Disallow: /a*b*c", "/a-1-b-2-c-3", False),
        ("Disallow: /*?session=", "/x?session=1", False),
        ("Disallow:", "/x", True),
        ("Disallow: /caf%C3%A9", "/caf%C3%A9/menu", False),
        ("Disallow: /café", "/caf%C3%A9/menu", False),
        ("Disallow: /a%2Fb", "/a/b", True),
        ("Disallow: /a%2fb", "/a%2Fb", False),
        ("Disallow: /a%3Fb", "/a?b", True),
        ("Disallow: /a%252Fb", "/a%2Fb", True),
        ("Disallow: /a-%2A.html", "/a-1.html", True),
        ("Disallow: /a-%2A.html", "/a-*.html", False),
        ("Disallow: /a-%2A.html", "/a-%2A.html", False),
        ("Disallow: /a-%24", "/a-", True),
        ("Disallow: /a-%24", "/a-$b", False),
        ("Disallow: /%E4%B8%AD\nAllow: /*/page", "/%E4%B8%AD/page", True),
        ("Disallow: /\u2028Allow: /x", "/x", True),
        ("Disallow: /", "/robots.txt", True),
        ("disallow : /x # a comment", "/x", False),
    ],
)
def test_the_longest_rule_decides(rules: str, path: str, expected: bool) -> None:
    assert allowed(f"User-agent: *\n{rules}\n", path) is expected


def test_the_group_that_names_the_agent_replaces_the_one_for_all() -> None:
    body = "User-agent: *\nDisallow: /\n\nUser-Agent: healtharchive\nDisallow: /private\n"
    assert allowed(body, "/x")
    assert not allowed(body, "/private")
    assert not allowed(body, "/x", "other/2")


def test_groups_of_one_agent_are_read_as_one_and_agents_share_a_group() -> None:
    body = "User-agent: a\nUser-agent: HealthArchive\nDisallow: /1\n\nUser-agent: x\nDisallow: /3\n"
    body += "User-agent: healtharchive\nDisallow: /2\n"
    assert [allowed(body, f"/{n}") for n in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, True), (401, True), (403, True), (500, False), (503, False), (None, False)],
)
def test_without_a_file_a_4xx_allows_all_and_a_5xx_or_silence_nothing(
    status: int | None, expected: bool
) -> None:
    assert parse(status, b"User-agent: *\nDisallow: /").verdict(AGENT, f"{SITE}/x")[0] is expected


def test_crawl_delay_and_sitemaps() -> None:
    body = b"Sitemap: https://a.example/s.xml\nUser-agent: *\nCrawl-delay: 2.5\nDisallow: /x\n"
    robots = parse(200, body + b"User-agent: slow\nCrawl-delay: 30\n")
    assert robots.crawl_delay(AGENT) == 2.5
    assert robots.crawl_delay("Slow/1") == 30
    assert robots.sitemaps == ("https://a.example/s.xml",)


def test_the_verdict_names_its_rule() -> None:
    robots = parse(200, b"User-agent: *\nDisallow: /x")
    assert robots.verdict(AGENT, f"{SITE}/x/y") == (False, "Disallow: /x")


def test_rules_beyond_the_limit_do_not_count() -> None:
    body = b"User-agent: *\n" + b"# filler\n" * 70_000 + b"Disallow: /\n"
    assert parse(200, body).verdict(AGENT, f"{SITE}/x")[0]


@given(st.binary(max_size=300), st.text(max_size=30))
def test_no_file_and_no_path_raises(body: bytes, path: str) -> None:
    robots = parse(200, body)
    assert isinstance(robots.verdict(AGENT, f"{SITE}/{path}")[0], bool)


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        ("HealthArchive/0.1", "healtharchive"),
        ("HealthArchive-Test/1 (+https://a.example/bot/)", "healtharchive-test"),
        ("Mozilla/5.0 (compatible; HealthArchive/0.1; +https://a.example/b)", "healtharchive"),
        ("Mozilla/5.0 (compatible; HealthArchive; +mailto:a@a.example)", "healtharchive"),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; HealthArchive/1) "
            "Chrome/131.0 Safari/537.36",
            "healtharchive",
        ),
        ("Mozilla/5.0 (X11; Linux) Chrome/131.0 Safari/537.36 HealthArchive/1", "healtharchive"),
        ("Mozilla/5.0 (X11)", "mozilla"),
        ("our archive", "our"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_name_that_robots_txt_may_speak_to_is_ours(agent: str, token: str) -> None:
    assert product_token(agent) == token


def test_an_agent_that_passes_for_a_browser_obeys_the_group_of_its_own_name() -> None:
    agent = "Mozilla/5.0 (compatible; HealthArchive/0.1; +https://a.example/)"
    body = "User-agent: mozilla\nAllow: /\n\nUser-agent: HealthArchive 0.1\nDisallow: /x\n"
    assert not allowed(body, "/x", agent)


def test_a_host_that_is_asked_too_much_has_not_allowed_all() -> None:
    verdict = parse(429, b"").verdict(AGENT, f"{SITE}/x")
    assert verdict == (False, "robots.txt answered 429")
    assert parse(403, b"").verdict(AGENT, f"{SITE}/x")[0]

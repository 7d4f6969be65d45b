"""Container options are checked before anything runs, and become the commands that start it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healtharchive.crawl.container.command import (
    crawler_words,
    exclude_pattern,
    include_pattern,
    run_words,
)
from healtharchive.crawl.scope import Scope
from healtharchive.model.container import ContainerOptions, problems
from healtharchive.model.orders import CrawlOrder
from healtharchive.model.source import Limits, ScopeRules, Seed, SourceDefinition


def test_the_defaults_have_no_problems() -> None:
    assert problems(ContainerOptions()) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"arguments": ("--workers", "4")}, "--workers is set by HealthArchive itself"),
        ({"arguments": ("--seeds=https://a.example/",)}, "--seeds is set by HealthArchive itself"),
        ({"arguments": ("--work", "4")}, "--work is set by HealthArchive itself (--workers)"),
        ({"arguments": ("-w4",)}, "-w4 is set by HealthArchive itself (-w)"),
        ({"arguments": ("--lang", "en", "--lang=fr")}, "--lang is given twice"),
        ({"arguments": ("https://a.example/",)}, "begins with 'https://a.example/'"),
        ({"run_arguments": ("--name=mine",)}, "--name is set by HealthArchive itself"),
        ({"run_arguments": ("--rm",)}, "--rm is set by HealthArchive itself"),
        ({"run_arguments": ("-v", "/srv:/output:ro")}, "takes the place of the output directory"),
        ({"run_arguments": ("--label", "healtharchive.job=1")}, "changes a label"),
        ({"memory": "much"}, "memory 'much' is not a size"),
        ({"ulimits": ("nofile",)}, "'nofile' is not NAME=SOFT:HARD"),
        ({"workers": 0}, "workers is not above 0"),
        ({"restarts": -1}, "restarts is below 0"),
        ({"error_share": 1.5}, "error_share"),
        ({"image": "--privileged"}, "image '--privileged' is not one word"),
        ({"image": ""}, "image is empty"),
        ({"command": ()}, "command is empty"),
        ({"scope_type": "galaxy"}, "scope_type 'galaxy' is none of"),
    ],
)
def test_what_cannot_be_used_is_named(wrong: dict[str, Any], words: str) -> None:
    (said,) = problems(dataclasses.replace(ContainerOptions(), **wrong))
    assert words in said


def test_what_the_crawler_takes_beside_ours_is_let_through() -> None:
    extras = ("--lang", "fr", "--behaviors", "autoscroll", "--postLoadDelay", "-1", "--title", "A")
    options = ContainerOptions(
        arguments=extras, run_arguments=("--cap-add", "SYS_ADMIN", "-v", "/srv/x:/profile:ro")
    )
    assert problems(options) == []


def order(**more: Any) -> CrawlOrder:
    """An order for a source of two seeds."""
    scope = ScopeRules(hosts=("www.example.org",), include_prefixes=("/en/health",))
    facts: dict[str, Any] = {
        "code": "hc",
        "name": "Health",
        "seeds": (Seed("https://www.example.org/en/health"), Seed("https://www.example.org/fr/")),
        "scope": scope,
    }
    return CrawlOrder(
        job_id=7,
        fence=3,
        source=SourceDefinition(**(facts | more)),
        campaign="annual-2026",
        output_dir="/srv/hot/hc",
        state_dir="/srv/state/job-7",
        operator="The lab",
        user_agent="HealthArchive/1",
        lease_seconds=60.0,
    )


def after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_the_container_is_named_labelled_and_limited() -> None:
    options = ContainerOptions(ulimits=("nofile=1024:1024",), runtime="runc", network="crawl")
    words = run_words(order(), options, "docker")
    assert after(words, "--name") == "healtharchive-job7-a3"
    labels = [words[at + 1] for at, word in enumerate(words) if word == "--label"]
    assert labels == [
        "healtharchive.job=7",
        "healtharchive.attempt=3",
        "healtharchive.state=/srv/state/job-7",
    ]
    limits = [after(words, f"--{name}") for name in ("cpus", "memory", "shm-size", "network")]
    assert limits == ["1.5", "4g", "1g", "crawl"]
    # The crawler writes to the local disk, wherever the sealed segments go.
    assert after(words, "--volume") == "/srv/state/job-7/container:/output"
    assert words[-1] == "ghcr.io/openzim/zimit"
    assert after(words, "--runtime") == "runc"
    assert "--runtime" not in run_words(order(), options, "podman")


def test_the_crawler_gets_its_options_from_the_source() -> None:
    limited = order(limits=Limits(pages=50))
    options = ContainerOptions(admin_email="ops@example.org", arguments=("--lang", "fr"))
    words = crawler_words(limited, options, 2, "resume-a3.yaml")
    assert words[0] == "zimit"
    assert (
        after(words, "--seeds") == "https://www.example.org/en/health,https://www.example.org/fr/"
    )
    assert (after(words, "--name"), after(words, "--workers")) == ("hc", "2")
    assert (after(words, "--saveState"), after(words, "--pageLimit")) == ("always", "50")
    assert after(words, "--config") == "/output/resume-a3.yaml"
    assert after(words, "--adminEmail") == "ops@example.org"
    assert "--keep" in words
    assert words[-2:] == ["--lang", "fr"]
    assert "--config" not in crawler_words(limited, options, 2, None)


def test_a_seed_with_a_comma_goes_by_file() -> None:
    words = crawler_words(
        order(seeds=(Seed("https://www.example.org/a,b"),)), ContainerOptions(), 1, None
    )
    assert after(words, "--seedFile") == "/output/seeds.txt"
    assert "--seeds" not in words


RULES = ScopeRules(
    hosts=("www.example.org", "docs.example.org"),
    include_prefixes=("/en/health", "/fr/sante/"),
    include=(r"^https://docs\.example\.org/api", r"\.pdf$"),
    exclude=(r"/private/", r"print=1"),
)
parts = st.sampled_from(
    ["/en/health", "/en/healthy", "/fr/sante", "/fr/sante/", "/api", "/x", ".html", ".pdf",
     "/private/", "?q=1", "?print=1", "/en/health/a", "#"]
)  # fmt: skip
hosts = st.sampled_from(
    ["https://www.example.org", "http://docs.example.org:8080", "https://docs.example.org",
     "https://www.example.org.evil.example", "https://wwwXexample.org"]
)  # fmt: skip


@given(hosts, st.lists(parts, min_size=1, max_size=3))
@example("https://www.example.org", ["/en/health", ".html"])
@example("https://docs.example.org", ["/api"])
def test_the_crawlers_patterns_decide_as_the_source_does(host: str, path: list[str]) -> None:
    url = host + "/" + "".join(path).lstrip("/").partition("#")[0]
    ours = Scope(RULES).decide(url).in_scope
    theirs = bool(re.search(include_pattern(RULES), url)) and not re.search(
        exclude_pattern(RULES), url
    )
    assert theirs == ours, url


def test_a_scope_without_rules_is_its_hosts() -> None:
    pattern = include_pattern(ScopeRules(hosts=("127.0.0.1",)))
    assert re.search(pattern, "http://127.0.0.1:8080/a")
    assert not re.search(pattern, "http://127.0.0.10/a")
    assert exclude_pattern(ScopeRules(hosts=("127.0.0.1",))) == ""
    assert re.search(exclude_pattern(ScopeRules(hosts=("a",), query="none")), "http://a/?x")


def test_the_state_label_tells_two_archives_apart(tmp_path: Path) -> None:
    one = dataclasses.replace(order(), state_dir=str(tmp_path / "one"))
    two = dataclasses.replace(order(), state_dir=str(tmp_path / "two"))
    assert run_words(one, ContainerOptions(), "podman") != run_words(
        two, ContainerOptions(), "podman"
    )

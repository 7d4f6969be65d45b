"""A real crawl leaves its own log beside its frontier, and goes on in it with each attempt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.lab.crawling import crawl, order_for, source_of
from tests.lab.small_site import Answer, answering


def test_a_crawl_says_in_its_log_how_it_begins_what_it_seals_and_how_it_ends(
    tmp_path: Path,
) -> None:
    with answering(lambda _host, path: Answer(b"<p>here</p>")) as site:
        order = order_for(
            site, tmp_path / "job", source=source_of(site.url), state_dir=str(tmp_path / "state")
        )
        assert crawl(order).outcome == "complete"
        assert crawl(replace(order, fence=2)).outcome == "complete"
    said = (tmp_path / "state" / "crawl.log").read_text().splitlines()
    words = [each.partition(" ")[2] for each in said]
    assert words[0] == "attempt 1 of job 1 (lab)"
    assert words[1].startswith("begins: ")
    assert any(each.startswith("sealed lab-lab-2026-job1-") for each in words)
    ends = [each for each in words if each.startswith("ends as complete")]
    assert len(ends) == 2
    assert "attempt 2 of job 1 (lab)" in words
    assert not (tmp_path / "job" / "crawl.log").exists(), "never on the target"


def test_what_ended_an_attempt_is_in_its_log(tmp_path: Path) -> None:
    with answering(lambda _host, path: Answer(b"<p>here</p>")) as site:
        order = order_for(site, tmp_path / "job", source=source_of(site.url))
        (tmp_path / "job" / "warcs").mkdir(parents=True)
        (tmp_path / "job" / "warcs").rmdir()
        (tmp_path / "job" / "warcs").write_text("a file is in the way")
        report = crawl(order)
    assert report.outcome in ("infra", "failed")
    last = (tmp_path / "job" / "crawl.log").read_text().splitlines()[-1]
    assert f"ends as {report.outcome}, blamed on {report.blame} ({report.reason})" in last

"""The crawler's own state is read, put right by our frontier, and handed back to it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from healtharchive.crawl.container import state
from healtharchive.crawl.container.files import relax, scan, superseded

STATE = """\
collection: crawl-20260124
seeds:
  - url: https://a.example/
    scopeType: host
state:
  extraSeeds: []
  finished:
    - https://a.example/
    - https://a.example/1
    - https://a.example/begun
    - https://a.example/trimmed
  queued:
    - '{"added":"2026-01-24T06:17:10.000Z","url":"https://a.example/it''s","seedId":0,"depth":2}'
  pending:
    - '{"url":"https://a.example/begun","seedId":0,"depth":1}'
  sitemapDone: false
  failed:
    - '{"url":"https://a.example/lost","seedId":0,"depth":1,"retry":2}'
  errors: []
  excluded:
    - https://a.example/trimmed
"""


def written(tmp_path: Path, text: str, name: str = "crawl-1.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_what_is_begun_or_left_out_is_not_finished(tmp_path: Path) -> None:
    saved = state.load(written(tmp_path, STATE))
    assert saved.finished == ("https://a.example/", "https://a.example/1")
    assert list(saved.queued_urls) == ["https://a.example/it's", "https://a.example/begun"]
    assert list(saved.failed_urls) == ["https://a.example/lost"]


@pytest.mark.parametrize(
    "text",
    ["", "state:\n  queued:\n   - '{", "seeds: []\n", "state:\n  queued: 7\n", "\x00", "- a\n"],
)
def test_a_broken_state_is_told_for_one(tmp_path: Path, text: str) -> None:
    with pytest.raises(state.BrokenState):
        state.load(written(tmp_path, text))


def test_a_state_that_was_cut_off_anywhere_is_told_for_one(tmp_path: Path) -> None:
    lines = STATE.splitlines(keepends=True)
    errors = lines.index("  errors: []\n")
    for number in range(errors):
        with pytest.raises(state.BrokenState):
            state.load(written(tmp_path, "".join(lines[:number])))
    assert state.load(written(tmp_path, "".join(lines[: errors + 1]))).queued


def test_the_newest_that_can_be_used_is_taken(tmp_path: Path) -> None:
    good = written(tmp_path, STATE)
    cut = written(tmp_path, STATE[:200], "crawl-2.yaml")
    saved, path, broken = state.newest([cut, tmp_path / "gone.yaml", good])
    assert saved == state.load(good)
    assert path == good
    assert [each for each, _ in broken] == [cut]
    state.set_aside(cut)
    assert (tmp_path / "crawl-2.yaml.broken").exists()


def test_the_crawler_continues_from_what_we_hold(tmp_path: Path) -> None:
    saved = state.load(written(tmp_path, STATE))
    settled = {"https://a.example/"}  # a.example/1 is finished, and its record was lost
    config = state.resume_config(saved, settled.__contains__, ["https://a.example/new"])
    path = tmp_path / "resume.yaml"
    state.write_config(config, path)
    again = state.load(path)
    assert again.finished == ("https://a.example/",)
    assert list(again.queued_urls) == [
        "https://a.example/it's",
        "https://a.example/begun",
        "https://a.example/1",
        "https://a.example/new",
        "https://a.example/lost",
    ]
    assert again.failed == ()
    assert config["seeds"] == [{"url": "https://a.example/", "scopeType": "host"}]
    assert json.loads(again.queued[0])["depth"] == 2
    assert config["state"]["pending"] == []


def test_what_failed_for_good_stays_failed(tmp_path: Path) -> None:
    saved = state.load(written(tmp_path, STATE))
    config = state.resume_config(saved, lambda url: True, [])
    assert [json.loads(each)["url"] for each in config["state"]["failed"]] == [
        "https://a.example/lost"
    ]


def test_the_copy_replaces_the_one_before(tmp_path: Path) -> None:
    for text in ("one", "two"):
        state.keep_copy(written(tmp_path, text), tmp_path)
    assert (tmp_path / state.COPY_NAME).read_text() == "two"


# -- the crawler's directory -----------------------------------------------------------------


def archive_in(work: Path, temporary: str) -> Path:
    archive = work / temporary / "collections" / "crawl-1" / "archive"
    archive.mkdir(parents=True)
    return archive


def test_warcs_and_states_are_found_and_links_are_not_followed(tmp_path: Path) -> None:
    work = tmp_path / "work"
    archive = archive_in(work, ".tmpabc")
    outside = tmp_path / "outside"
    (outside / "archive").mkdir(parents=True)
    (outside / "archive" / "secret.warc.gz").write_bytes(b"x")
    (work / ".tmpabc" / "link").symlink_to(outside)
    (work / ".tmplink").symlink_to(outside)
    (archive / "link.warc.gz").symlink_to(outside / "archive" / "secret.warc.gz")
    names = [f"rec-h-2026012406171000{n}-{worker}.warc.gz" for n in (1, 2) for worker in (0, 1)]
    for name in reversed(names[:3]):
        (archive / name).write_bytes(b"abc")
    (archive / "notes.txt").write_text("")
    (archive.parent / "combined_0.warc.gz").write_bytes(b"the same records once more")
    crawls = archive.parent / "crawls"
    crawls.mkdir()
    for number, name in enumerate(("crawl-b.yaml", "crawl-a.yaml")):
        (crawls / name).write_text("")
        os.utime(crawls / name, (number, number))
    found = scan(work)
    assert [each.name for each in found.directories] == [".tmpabc"]
    assert [each.path.name for each in found.warcs] == names[:3]
    assert [each.name for each in found.states] == ["crawl-b.yaml", "crawl-a.yaml"]
    # Worker 0 has begun its second file, worker 1 still writes its first.
    assert {Path(name).name for name in superseded(found.warcs)} == {names[0]}


def test_everybody_may_read_and_nothing_outside_is_touched(tmp_path: Path) -> None:
    work = tmp_path / "work"
    archive = archive_in(work, ".tmpabc")
    inside, outside = archive / "rec.warc.gz", tmp_path / "outside"
    for path in (inside, outside):
        path.write_bytes(b"x")
        path.chmod(0o600)
    (archive / "link").symlink_to(outside)
    os.mkfifo(archive / "pipe", 0o600)
    (work / ".tmpabc").chmod(0o700)
    done = relax(work)
    assert inside.stat().st_mode & 0o777 == 0o644
    assert (work / ".tmpabc").stat().st_mode & 0o777 == 0o755
    assert outside.stat().st_mode & 0o777 == 0o600
    assert (archive / "pipe").stat().st_mode & 0o777 == 0o600
    assert done.changed >= 2
    assert done.refused == 0
    assert relax(work).changed == 0


def test_a_pass_over_the_permissions_has_an_end(tmp_path: Path) -> None:
    archive = archive_in(tmp_path, ".tmpabc")
    for number in range(20):
        (archive / f"{number}").touch(0o600)
    assert relax(tmp_path, most=5).changed <= 6

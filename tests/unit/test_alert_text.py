"""What people read of alerts, and what they never read: a secret."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from healtharchive.model.alerts import Alert, AlertState, Done
from healtharchive.steward.alert_text import compose, lasted
from healtharchive.steward.sending import masked
from healtharchive.steward.telling import Occasion, Tidings

SINCE = datetime(2026, 1, 24, 6, 17, 10, tzinfo=UTC)
NOW = SINCE + timedelta(minutes=6)


def alert(name: str = "TargetDown", subject_id: str = "box", **more: Any) -> Alert:
    known: dict[str, Any] = {
        "id": 1,
        "name": name,
        "severity": "critical",
        "subject": "target",
        "subject_id": subject_id,
        "state": AlertState.FIRING,
        "summary": "box is stale since 06:17:10Z: errno 107.",
        "evidence": {
            "command": "healtharchive why target box",
            "next": "at 06:30:00Z it is repaired again",
            "only_you": "look at the other side.",
        },
        "since": SINCE,
        "seen_at": NOW,
    }
    return Alert(**{**known, **more})


def told(*alerts: Alert, occasion: Occasion = Occasion.PROBLEM, **done: Any) -> tuple[str, str]:
    message = compose(
        Tidings(occasion, alerts),
        {1: done.get("done", ())},
        host="vps1",
        now=NOW,
        again_seconds=86_400.0,
    )
    return message.subject, message.body


def test_a_problem_says_what_happened_was_done_is_next_and_is_left_to_do() -> None:
    done = [Done(SINCE + timedelta(seconds=50), "recover", "failed", "sshfs: connection refused")]
    subject, body = told(alert(), done=done)
    assert subject == (
        "HealthArchive vps1: TargetDown box – box is stale since 06:17:10Z: errno 107."
    )
    assert body == (
        "HealthArchive on vps1, 2026-01-24 06:23:10Z\n\n"
        "target box\n"
        "* TargetDown (critical) since 2026-01-24 06:17:10Z\n"
        "  What happened: box is stale since 06:17:10Z: errno 107.\n"
        "  Done by itself: 06:18:00Z recover failed: sshfs: connection refused\n"
        "  What is next: at 06:30:00Z it is repaired again. You are told when it is over, "
        "and again at 2026-01-25 06:23:10Z while it goes on.\n"
        "  What only you can do: look at the other side. Begin with: healtharchive why target box\n"
        "  Playbook: docs/playbooks/targetdown.md\n"
    )


def test_problems_of_one_subject_are_one_paragraph() -> None:
    subject, body = told(alert(), alert("JobFailed", "7", id=2), alert("CopyBad", id=3))
    assert subject.endswith("(and 2 more)")
    assert body.count("\n\n") == 2
    assert body.index("TargetDown") < body.index("CopyBad") < body.index("JobFailed")


def test_a_recovery_says_how_long_it_lasted_and_what_was_done() -> None:
    over = alert(state=AlertState.OVER, over_at=NOW, sent_at=SINCE)
    done = [Done(SINCE, "recover", "applied", "mounted again")]
    subject, body = told(over, occasion=Occasion.RECOVERY, done=done)
    assert subject == "HealthArchive vps1: over: TargetDown box – after 6 min"
    assert "it lasted 6 min, from 2026-01-24 06:17:10Z to 2026-01-24 06:23:10Z" in body
    assert "Done by itself: 06:17:10Z recover applied: mounted again" in body


def test_a_reminder_says_that_it_still_is_so() -> None:
    subject, _ = told(alert(sent_at=SINCE))
    assert subject.startswith("HealthArchive vps1: still TargetDown box")


def test_a_subject_is_one_short_line_whatever_a_server_said() -> None:
    subject, body = told(alert(summary="a\r\nBcc: all@example.org\r\n" + "x" * 5000))
    assert len(subject) <= 140
    assert subject.isprintable()
    assert "\r" not in body


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "a moment"), (59, "59 s"), (22_440, "6 h 14 min"), (90_000, "1 d 1 h"), (3601, "1 h 1 s")],
)
def test_how_long_it_lasted(seconds: int, words: str) -> None:
    assert lasted(alert(seen_at=SINCE + timedelta(seconds=seconds))) == words


@pytest.mark.parametrize(
    "address",
    [
        "mailtos://user:p4ssw0rd@example.org?from=me@example.org&to=you@example.net",
        "ntfy://my-secret-topic",
        "slack://TokenAAA/TokenBBB/TokenCCC/#channel",
        "https://hooks.example.org/services/T000/B000/xoxb%2Dtoken?key=abcdef",
    ],
)
def test_no_piece_of_an_address_is_told(address: str) -> None:
    rest = address.partition("://")[2]
    text = f"Failed to reach {address}: {rest}; HTTPSConnectionPool: user p4ssw0rd xoxb-token"
    said = masked(text, address)
    for secret in ("p4ssw0rd", "topic", "TokenBBB", "xoxb", "abcdef", "example.org", "T000"):
        assert secret not in said or secret not in address.replace("%2D", "-"), said
    assert said.startswith("Failed to reach")

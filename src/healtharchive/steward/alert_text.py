"""The words in which people are told of alerts: what happened, what was done, what they can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healtharchive.model.alerts import Alert, Done
from healtharchive.model.journal import legible
from healtharchive.steward.alert_states import COMMAND, NEXT, ONLY_YOU
from healtharchive.steward.settling import settling_seconds, times_back
from healtharchive.steward.telling import Occasion, Tidings

LONGEST_SUBJECT = 140
LONGEST_SENTENCE = 600
SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: one line and the text."""

    subject: str
    body: str
    occasion: Occasion


def compose(
    told: Tidings,
    done: Mapping[int, Sequence[Done]],
    *,
    host: str,
    now: datetime,
    again_seconds: float,
) -> Message:
    """The message about these alerts; `done` is what was done about each, by its id."""
    paragraphs = [f"HealthArchive on {host}, {_moment(now)}"]
    for subject, alerts in _by_subject(told.alerts).items():
        lines = [" ".join(subject)]
        for alert in alerts:
            actions = done.get(alert.id, ())
            if told.occasion is Occasion.RECOVERY:
                lines += _recovery(alert, actions)
            else:
                lines += _problem(alert, actions, now + timedelta(seconds=again_seconds))
        paragraphs.append("\n".join(lines))
    return Message(subject_line(told, host), "\n\n".join(paragraphs) + "\n", told.occasion)


def subject_line(told: Tidings, host: str) -> str:
    """What a telephone shows: `HealthArchive vps1: TargetDown box – errno 107`."""
    first = told.alerts[0]
    others = len(told.alerts) - 1
    more = f" (and {others} more)" if others else ""
    if told.occasion is Occasion.RECOVERY:
        head, said = "over: ", f"after {lasted(first)}"
    else:
        head, said = "still " if first.sent_at is not None else "", _plain(first.summary)
    text = f"HealthArchive {host}: {head}{first.name} {first.subject_id} – {said}"
    return _short(text, LONGEST_SUBJECT - len(more)) + more


def lasted(alert: Alert) -> str:
    """How long an alert's trouble was seen, in two units: `6 h 14 min`."""
    return _span((alert.seen_at - alert.since).total_seconds())


def _span(seconds: float) -> str:
    left = round(seconds)
    parts = []
    for length, unit in SPANS:
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "a moment"


def _problem(alert: Alert, actions: Sequence[Done], again_at: datetime) -> list[str]:
    """One problem in words, with the next step that the last look knew."""
    goes_on = (
        f"You are told when it is over{_settling(alert)}, and again at {_moment(again_at)} while "
        "it goes on."
    )
    by_itself, only_you, command = (
        _plain(str(alert.evidence.get(each, ""))) for each in (NEXT, ONLY_YOU, COMMAND)
    )
    return [
        f"* {alert.name} ({alert.severity}) since {_moment(alert.since)}",
        f"  What happened: {_plain(alert.summary)}",
        f"  Done by itself: {_actions(actions)}",
        f"  What is next: {_sentence(by_itself)} {goes_on}",
        f"  What only you can do: {_sentence(only_you)} Begin with: {command}",
        f"  Playbook: docs/playbooks/{alert.name.lower()}.md",
    ]


def _settling(alert: Alert) -> str:
    """How long it must be over first, and why, where it has come back."""
    if not times_back(alert):
        return ""
    return f" for {_span(settling_seconds(alert))}, as it has come back"


def _recovery(alert: Alert, actions: Sequence[Done]) -> list[str]:
    return [
        f"* {alert.name} is over: it lasted {lasted(alert)}, from {_moment(alert.since)} to "
        f"{_moment(alert.seen_at)}",
        f"  What had happened: {_plain(alert.summary)}",
        f"  Done by itself: {_actions(actions)}",
    ]


def _actions(actions: Sequence[Done]) -> str:
    if not actions:
        return "nothing."
    return "; ".join(
        f"{each.at:%H:%M:%S}Z {each.what.replace('_', ' ')} {each.outcome}: {_plain(each.why)}"
        for each in actions
    )


def _by_subject(alerts: Sequence[Alert]) -> dict[tuple[str, str], list[Alert]]:
    found: dict[tuple[str, str], list[Alert]] = {}
    for each in alerts:
        found.setdefault((each.subject, each.subject_id), []).append(each)
    return found


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"


def _plain(text: str) -> str:
    """One line, however a site or a server put it."""
    return _short(legible(" ".join(text.split())), LONGEST_SENTENCE)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"

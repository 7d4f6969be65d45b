"""Every alert, declared once: when it is raised, what it means, and what explains it.

The same list makes the lines of `status`, the messages that are sent, the rules for Prometheus and
the table of the playbooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from healtharchive.settings import Settings
from healtharchive.steward.condition import Condition

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a rule finds: about what, and the sentence for people.

    `since` is when it began, where a row says so. `needs` are the targets that it is about or
    hangs on: the trouble of one of them may explain it.
    """

    subject: str
    subject_id: str
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""  # to run now, where it differs from the rule's
    since: datetime | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NextStep:
    """What becomes of what was found: by itself, with its time, and what a person alone can do."""

    by_itself: str
    only_you: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One alert.

    `lasts_seconds` is how long it must have been so before anybody is told. `explained_by` names
    rules whose alert explains this one, so that nobody is told of it beside that.
    """

    name: str  # CamelCase, as Prometheus' alerts are
    severity: Severity
    lasts_seconds: float
    meaning: str
    find: Callable[[Condition, Settings], Iterable[Found]]
    next_step: Callable[[Found, Condition, Settings], NextStep]
    command: str
    explained_by: tuple[str, ...] = ()

    @property
    def playbook(self) -> str:
        """Its page below docs/playbooks/, without the ending."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule and what it found, with the rule that explains it (empty: none does).

    That is the root: what explains the explanation, if anything does. `cause_id` is the subject_id
    of what that rule found.
    """

    rule: AlertRule
    found: Found
    next_step: NextStep
    explained_by: str = ""
    cause_id: str = ""

    @property
    def command(self) -> str:
        """What a person would run first."""
        return self.found.command or self.rule.command

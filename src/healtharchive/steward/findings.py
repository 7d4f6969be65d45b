"""What is wrong, and what of it explains the rest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from healtharchive.model.services import Service
from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import AlertRule, Finding
from healtharchive.steward.condition import Condition
from healtharchive.steward.rules import RULES

GRAVITY = ("critical", "warning", "info")


def findings(
    condition: Condition, settings: Settings, rules: Sequence[AlertRule] = RULES
) -> list[Finding]:
    """Everything that any rule finds, the gravest first; what another finding explains says so."""
    found = [
        Finding(rule, each, rule.next_step(each, condition, settings))
        for rule in rules
        for each in rule.find(condition, settings)
    ]
    found.sort(key=lambda each: GRAVITY.index(each.rule.severity))
    return [_explained(each, found) for each in found]


def worth_telling(found: Sequence[Finding], now: datetime) -> list[Finding]:
    """What a person should read now: nothing explained, nothing that has not lasted long enough.

    What is critical is told at once, and so is what no row says the beginning of.
    """
    return [
        each
        for each in found
        if not each.explained_by and (each.rule.severity == "critical" or _lasts(each, now))
    ]


def _lasts(finding: Finding, now: datetime) -> bool:
    since = finding.found.since
    return since is None or (now - since).total_seconds() >= finding.rule.lasts_seconds


def _explained(finding: Finding, all_found: Sequence[Finding]) -> Finding:
    """The finding with its root. A rule may explain itself: a target, the hot paths on it."""
    root, seen = finding, [finding]
    while True:
        causes = [each for each in all_found if each not in seen and _explains(each, root)]
        if not causes:
            break
        root = causes[0]
        seen.append(root)
    if root is finding:
        return finding
    return replace(finding, explained_by=root.rule.name, cause_id=root.found.subject_id)


def _explains(cause: Finding, finding: Finding) -> bool:
    """Whether one explains the other: a target what needs it, a service what it would do."""
    if cause.rule.name not in finding.rule.explained_by:
        return False
    if cause.found.subject == "target":
        return cause.found.subject_id in finding.found.needs
    if finding.found.subject == "service":
        return cause.found.subject_id in (finding.found.subject_id, Service.STEWARD)
    return cause.found.subject_id in (Service.WORKER, Service.STEWARD)

"""Every alert as a rule of Prometheus, from its declaration and its expression."""

from __future__ import annotations

import re
from collections.abc import Sequence

from healtharchive.steward.alert_rules import AlertRule
from healtharchive.steward.monitoring.as_yaml import Plain, to_yaml
from healtharchive.steward.monitoring.exprs import (
    EXPRS,
    JOBS,
    KEEPING,
    OWN,
    OWN_RULES,
    SERVICES,
    STORAGE,
    UNTELLABLE,
    OwnRule,
)
from healtharchive.steward.rules import RULES

HEAD = """\
# Rules for Prometheus, made by `make docs` from the same list that `healtharchive status` and the
# messages to people go by. Join them by `rule_files`. docs/monitoring.md says more.
"""
GROUPS = {
    "services": SERVICES,
    "storage": STORAGE,
    "jobs": JOBS,
    "keeping": KEEPING,
    "prometheus": OWN,
}
SET_OPERATOR = re.compile(r" (?=(?:and|or|unless) )")
UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
Rule = AlertRule | OwnRule


def told_rules() -> list[Rule]:
    """The rules that Prometheus can tell, its own ones last."""
    return [*(each for each in RULES if each.name not in UNTELLABLE), *OWN_RULES]


def alert_file(rules: Sequence[Rule] | None = None, *, shortened: float = 1.0) -> str:
    """The file of rules. `shortened` divides how long each must last: a test cannot wait."""
    by_name = {each.name: each for each in (told_rules() if rules is None else rules)}
    groups: list[Plain] = []
    for name, exprs in GROUPS.items():
        members: list[Plain] = [
            _rule(by_name[each], shortened) for each in exprs if each in by_name
        ]
        if members:
            groups.append({"name": f"healtharchive-{name}", "rules": members})
    return HEAD + to_yaml({"groups": groups})


def _rule(rule: Rule, shortened: float) -> Plain:
    found = EXPRS[rule.name]
    return {
        "alert": rule.name,
        "expr": SET_OPERATOR.sub("\n", found.expr),
        "for": duration(rule.lasts_seconds / shortened),
        "labels": {"severity": rule.severity},
        "annotations": {
            "summary": found.summary,
            "description": f"{rule.meaning} Begin with `{rule.command}`.",
            "runbook": f"docs/playbooks/{rule.name.lower()}.md",
        },
    }


def duration(seconds: float) -> str:
    """A time as Prometheus writes it: 1h30m."""
    rest = round(seconds * 1000)
    parts = []
    for unit, size in UNITS:
        number, rest = divmod(rest, size)
        parts += [f"{number}{unit}"] if number else []
    return "".join(parts) or "0s"

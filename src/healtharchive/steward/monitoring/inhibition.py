"""What explains what, for Alertmanager: one root cause is one message.

Prometheus' labels tell which target a job hangs on: `target` is what it needs first (a hot path,
where it has one), `place` the target that the bytes lie on in the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from healtharchive.model.target import SPOOL, TargetKind
from healtharchive.steward.monitoring.as_yaml import Plain, to_yaml
from healtharchive.steward.monitoring.exprs import EXPRS
from healtharchive.steward.monitoring.rules import Rule, told_rules

HEAD = """\
# What explains what, for Alertmanager: put these into its own list of `inhibit_rules`.
# Made by `make docs` from the list of alerts.
"""
OF_SPOOL = ("SpoolFull", "SpoolFilling", "DiskFullSoon")
OF_SERVICE = {"ServeDown": "serve"}  # the others that an owed restart explains hang on the worker


@dataclass(frozen=True, slots=True)
class Link:
    """One alert explains others, where the labels in `equal` are the same."""

    cause: str
    cause_matchers: tuple[str, ...]
    matchers: tuple[str, ...]
    equal: tuple[str, ...]


def inhibit_file(rules: Sequence[Rule] | None = None) -> str:
    """The fragment of Alertmanager's configuration."""
    explained: dict[Link, list[str]] = {}
    for rule in told_rules() if rules is None else rules:
        for cause in rule.explained_by:
            for link in _links(cause, rule.name):
                explained.setdefault(link, []).append(rule.name)
    return HEAD + to_yaml({"inhibit_rules": [_rule(*each) for each in explained.items()]})


def _links(cause: str, name: str) -> Iterator[Link]:
    labels, causing = EXPRS[name].labels, EXPRS[cause].labels
    if cause in OF_SPOOL:
        matchers = (f'target = "{SPOOL}"',) if "target" in labels else ()
        yield Link(cause, (), matchers, ("instance",))
        return
    if "service" in causing:
        service = OF_SERVICE.get(name, "worker")
        yield Link(cause, (f'service = "{service}"',), (), ("instance",))
        return
    if "target" not in causing or "target" not in labels:
        yield Link(cause, (), (), ("instance",))
        return
    if cause != name:
        yield Link(cause, (), (), ("instance", "target"))
    # What is wrong with a target is wrong with all that lies on it, but not the other way round.
    below = (f'kind = "{TargetKind.BIND}"',) if cause == name else ()
    above = (f'kind != "{TargetKind.BIND}"',)
    yield Link(cause, above, below, ("instance", "place"))


def _rule(link: Link, names: Sequence[str]) -> Plain:
    return {
        "source_matchers": [f'alertname = "{link.cause}"', *link.cause_matchers],
        "target_matchers": [f'alertname =~ "{"|".join(names)}"', *link.matchers],
        "equal": list(link.equal),
    }

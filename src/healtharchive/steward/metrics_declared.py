"""What a metric is: declared once, with its help; its values come with every look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

PREFIX = "healtharchive_"
Kind = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric: its name by Prometheus' conventions, what it says, its labels, its kind."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Kind = "gauge"


Value = tuple[tuple[str, ...], float]
Values = Mapping[Declared, Iterable[Value]]


def declared(name: str, text: str, *labels: str, kind: Kind = "gauge") -> Declared:
    """A metric of this program; its name is given without the prefix that all have."""
    return Declared(f"{PREFIX}{name}", text, labels, kind)


def family(metric: Declared, values: Iterable[Value]) -> Metric:
    """The metric with these values, as prometheus_client writes it."""
    made = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
        metric.name, metric.help, labels=metric.labels
    )
    for labels, value in values:
        made.add_metric(labels, value)
    return made


def moments(told: Iterable[tuple[str, datetime | None]]) -> Iterator[Value]:
    """Unix times under one label; nothing for what never was."""
    return (((name,), moment.timestamp()) for name, moment in told if moment is not None)


def one(value: float | None) -> list[Value]:
    """A value without labels; none while nobody knows it."""
    return [] if value is None else [((), value)]

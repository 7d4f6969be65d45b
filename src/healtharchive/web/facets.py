"""What a reader may change about a search: the filters that are on, and those that could be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from healtharchive.search.facets import YEAR, Facet
from healtharchive.search.grammar import Asked, Filter, parse
from healtharchive.web import form as forms
from healtharchive.web.form import Form
from healtharchive.web.visit import Visit

FIELDS = ("source", "campaign", "lang", "type", "from", "to")
# The prefix of each field's words in the table of texts; sources and campaigns have names.
WORDS = {"lang": "language.", "type": "type."}
DATES = ("before", "after")


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter, and the address without it."""

    field: str
    label: str
    without: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of a facet: what it would find, and the address that takes or drops it."""

    label: str
    count: int
    link: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """A facet as the page shows it."""

    title: str
    lines: tuple[Choice, ...]


class Narrowing:
    """The filters of one visit's search, in the form's fields and in the words themselves."""

    def __init__(self, visit: Visit, form: Form, sources: Mapping[str, str]) -> None:
        self._visit = visit
        self._form = form
        self._sources = sources
        self._asked = parse(form["q"])

    def chips(self) -> list[Chip]:
        """Every active filter: those of the fields, then those typed among the words."""
        fields = [
            Chip(
                self._visit.say("search." + name),
                self.label(name, self._form[name]),
                self._link(**{name: ""}),
            )
            for name in FIELDS
            if self._form[name]
        ]
        return fields + [self._typed(each) for each in self._asked.filters]

    def choices(self, facet: Facet) -> Choices:
        """A facet with the address of each of its choices."""
        lines = [self._choice(facet.name, each.value, each.count) for each in facet.values]
        return Choices(self._visit.say("filter." + facet.name), tuple(lines))

    def without(self, name: str) -> str:
        """The address without the filters of that name, wherever they stand."""
        fields = ("from", "to") if name == "date" else (name,)
        q = self._asked.without(*self._named(name, excluded_too=True))
        return self._link(q=str(q), **{each: "" for each in fields if each in FIELDS})

    def spelled(self, text: str) -> str:
        """The address with another text."""
        return self._link(q=text)

    def without_all(self) -> str:
        """The address with the words alone."""
        return self._link(q=self._asked.words, **dict.fromkeys(FIELDS, ""))

    def label(self, name: str, value: str) -> str:
        """A value as people call it."""
        if name == "source":
            return self._sources.get(value, value)
        worded = value in (*forms.LANGUAGES, *forms.TYPES) and name in WORDS
        return self._visit.say(WORDS[name] + value) if worded else value

    def _typed(self, each: Filter) -> Chip:
        field = self._visit.say("filter." + each.name)
        if each.excluded:
            field = self._visit.say("filter.not", field=field.lower())
        label = self.label(each.name, each.value)
        return Chip(field, label, self._link(q=str(self._asked.without(each))))

    def _choice(self, name: str, value: str, count: int) -> Choice:
        chosen = self._is_chosen(name, value)
        rest = str(self._asked.without(*self._named("date" if name == YEAR else name)))
        if name == YEAR:
            days = ("", "") if chosen else (f"{value}-01-01", f"{value}-12-31")
            link = self._link(q=rest, **{"from": days[0], "to": days[1]})
        elif chosen:
            link = self._link(q=rest, **{name: ""})
        else:
            link = self._taking(name, value, rest)
        return Choice(self.label(name, value), count, link, chosen)

    def _taking(self, name: str, value: str, rest: str) -> str:
        """With the choice in its field, or among the words when the field does not offer it."""
        offered = {"lang": forms.LANGUAGES, "type": forms.TYPES, "source": tuple(self._sources)}
        if value in offered.get(name, (value,)):
            return self._link(q=rest, **{name: value})
        asked = parse(rest)
        typed = str(Asked(asked.words, (*asked.filters, Filter(name, value))))
        return self._link(q=typed, **{name: ""})

    def _is_chosen(self, name: str, value: str) -> bool:
        if name == YEAR:
            days = (self._form["from"], self._form["to"])
            return days == (f"{value}-01-01", f"{value}-12-31")
        return value == self._form[name] or Filter(name, value) in self._asked.filters

    def _named(self, name: str, *, excluded_too: bool = False) -> tuple[Filter, ...]:
        names = DATES if name == "date" else (name,)
        return tuple(
            each
            for each in self._asked.filters
            if each.name in names and (excluded_too or not each.excluded)
        )

    def _link(self, **changes: str) -> str:
        return self._visit.link(**{**changes, "page": ""})

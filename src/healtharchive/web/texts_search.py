"""The sentences of the search page's filters, facets and suggestions."""

from __future__ import annotations

WRITTEN: dict[str, tuple[str, str]] = {
    "filter.site": ("Site", "Site"),
    "filter.source": ("Source", "Source"),
    "filter.campaign": ("Campaign", "Campagne"),
    "filter.lang": ("Language", "Langue"),
    "filter.type": ("Type", "Type"),
    "filter.before": ("Captured before", "Capturée avant le"),
    "filter.after": ("Captured from", "Capturée depuis le"),
    "filter.title": ("Title", "Titre"),
    "filter.inurl": ("In the address", "Dans l’adresse"),
    "filter.date": ("Dates", "Dates"),
    "filter.year": ("Year", "Année"),
    "filter.not": ("Not {field}", "Sauf {field}"),
    "problem.unknown": (
        "“{written}” is not a filter; it was searched as words. Filters are {names}.",
        "«␣{written}␣» n’est pas un filtre; ces mots ont été cherchés. Les filtres sont␣: {names}.",
    ),
    "problem.date": (
        "“{written}” does not name a date such as 2026-01-24, 2026-01 or 2026; "
        "it was searched as words.",
        "«␣{written}␣» ne donne pas de date comme 2026-01-24, 2026-01 ou 2026; "
        "ces mots ont été cherchés.",
    ),
    "problem.type": (
        "“{written}” does not name a type (html, pdf or text); it was searched as words.",
        "«␣{written}␣» ne nomme pas un type (html, pdf ou text); ces mots ont été cherchés.",
    ),
    "problem.language": (
        "“{written}” does not name a language such as en or fr; it was searched as words.",
        "«␣{written}␣» ne nomme pas une langue comme en ou fr; ces mots ont été cherchés.",
    ),
    "problem.site": (
        "“{written}” does not name a site such as canada.ca/en; it was searched as words.",
        "«␣{written}␣» ne nomme pas un site comme canada.ca/en; ces mots ont été cherchés.",
    ),
    "problem.names": (
        "site, source, campaign, lang, type, before, after, title, inurl",
        "site, source, campagne, langue, type, avant, après, titre, dansurl",
    ),
    "facets.title": ("Narrow these results", "Préciser ces résultats"),
    "facets.chosen": ("chosen; remove", "choisi; retirer"),
    "search.exact.one": (
        "{n} of them has all the words and comes first; the others have most of them.",
        "{n} d’entre eux contient tous les mots et vient d’abord; les autres en contiennent "
        "la plupart.",
    ),
    "search.exact.many": (
        "{n} of them have all the words and come first; the others have most of them.",
        "{n} d’entre eux contiennent tous les mots et viennent d’abord; les autres en contiennent "
        "la plupart.",
    ),
    "search.exact.none": (
        "No page has all the words; these have most of them.",
        "Aucune page ne contient tous les mots; celles-ci en contiennent la plupart.",
    ),
    "search.spelling": ("Did you mean", "Vouliez-vous dire"),
    "search.dropped": ("Without the filter “{field}”", "Sans le filtre «␣{field}␣»"),
    "search.first": ("first captured {day}", "première capture le {day}"),
    "search.help": ("Search tips", "Conseils de recherche"),
    "search.help.words": (
        "All words should be there. A phrase goes in quotation marks, a minus leaves a word out, "
        "OR takes either word.",
        "Tous les mots devraient s’y trouver. Une expression se met entre guillemets, un moins "
        "exclut un mot, OR accepte l’un ou l’autre mot.",
    ),
    "search.help.filters": (
        "Filters can be typed among the words, and left out with a minus:",
        "Des filtres peuvent être tapés parmi les mots, et exclus avec un moins␣:",
    ),
}

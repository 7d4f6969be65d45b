"""The sentences of the comparison of two captures, and of the list of changes."""

from __future__ import annotations

WRITTEN: dict[str, tuple[str, str]] = {
    "nav.changes": ("Changes", "Changements"),
    "compare.title": ("Two captures compared", "Comparaison de deux captures"),
    "compare.before": ("Before", "Avant"),
    "compare.after": ("After", "Après"),
    "compare.words": ("Words", "Mots"),
    "compare.words.counts": (
        "{added} added, {removed} removed",
        "{added} ajoutés, {removed} retirés",
    ),
    "compare.weight": ("What has changed", "Ce qui a changé"),
    "compare.weight.none": ("Nothing of the content", "Rien du contenu"),
    "compare.weight.moved": ("Only the order", "Seulement l’ordre"),
    "compare.weight.wording": ("The wording", "La formulation"),
    "compare.weight.sentences": ("Whole sentences", "Des phrases entières"),
    "compare.weight.facts": (
        "Numbers, dates, negations or advice",
        "Des nombres, dates, négations ou conseils",
    ),
    "compare.other_url": (
        "These are captures of two addresses. The earlier page is from",
        "Ces captures viennent de deux adresses. La première page vient de",
    ),
    "compare.backwards": (
        "The newer capture stands first: what was added later is shown as removed.",
        "La capture la plus récente est en premier␣: ce qui a été ajouté y paraît retiré.",
    ),
    "compare.unstructured": (
        "The headings of these pages could not be told for sure; sections are guessed.",
        "Les titres de ces pages n’ont pas pu être reconnus; les sections sont devinées.",
    ),
    "compare.cut": (
        "These pages are very long: only their beginning was compared.",
        "Ces pages sont très longues␣: seul leur début a été comparé.",
    ),
    "compare.long": (
        "The rest is not shown here; the JSON version of this page has all of it.",
        "La suite n’est pas affichée ici; la version JSON de cette page contient tout.",
    ),
    "compare.view.inline": ("In one text", "En un seul texte"),
    "compare.view.side": ("Side by side", "Côte à côte"),
    "compare.swap": ("Exchange before and after", "Inverser avant et après"),
    "compare.previous": ("Previous pair of captures", "Paire de captures précédente"),
    "compare.next": ("Next pair of captures", "Paire de captures suivante"),
    "compare.same": (
        "Both captures say the same. If the pages differ, it is in their menus, pictures or code.",
        "Les deux captures disent la même chose. Si les pages diffèrent, c’est par leurs menus, "
        "leurs images ou leur code.",
    ),
    "compare.top": ("Beginning of the page", "Début de la page"),
    "compare.section.same": ("unchanged", "inchangée"),
    "compare.section.changed": ("changed", "modifiée"),
    "compare.section.added": ("new section", "nouvelle section"),
    "compare.section.removed": ("section removed", "section retirée"),
    "compare.section.moved": ("moved", "déplacée"),
    "compare.unchanged.one": ("{n} unchanged sentence", "{n} phrase inchangée"),
    "compare.unchanged.many": ("{n} unchanged sentences", "{n} phrases inchangées"),
    "compare.piece.changed": ("Changed", "Modifié"),
    "compare.piece.removed": ("Removed", "Retiré"),
    "compare.piece.added": ("Added", "Ajouté"),
    "compare.piece.moved_away": ("Moved from here", "Déplacé d’ici"),
    "compare.piece.moved_here": ("Moved to here", "Déplacé ici"),
    "compare.frame": ("not part of the content", "hors contenu"),
    "compare.removed": ("removed:", "retiré␣:"),
    "compare.added": ("added:", "ajouté␣:"),
    "compare.fact.dose": ("quantity", "quantité"),
    "compare.fact.number": ("number", "nombre"),
    "compare.fact.date": ("date", "date"),
    "compare.fact.negation": ("negation", "négation"),
    "compare.fact.advice": ("advice", "conseil"),
    "compare.pictures": ("How both looked", "Apparence des deux pages"),
    "compare.picture": ("The page on {day}", "La page le {day}"),
    "compare.overlay": ("One over the other", "L’une sur l’autre"),
    "compare.overlay.words": (
        "Choose how much of the newer page covers the older one.",
        "Choisissez quelle part de la page récente couvre l’ancienne.",
    ),
    "compare.overlay.share": ("Per cent of the newer page", "Pourcentage de la page récente"),
    "changes.title": ("What has changed", "Ce qui a changé"),
    "changes.lead": (
        "Pages whose content is another than in their capture before.",
        "Pages dont le contenu diffère de celui de leur capture précédente.",
    ),
    "changes.feed": ("Changes – {site}", "Changements – {site}"),
    "changes.source": ("Source", "Source"),
    "changes.source.any": ("All sources", "Toutes les sources"),
    "changes.since": ("Captured since", "Capturée depuis le"),
    "changes.min_score": ("Show", "Afficher"),
    "changes.min_score.none": ("Everything, also dates and menus", "Tout, aussi dates et menus"),
    "changes.min_score.moved": ("Every change of content", "Tout changement de contenu"),
    "changes.min_score.wording": ("Wording and more", "Formulation et plus"),
    "changes.min_score.sentences": ("Sentences and more", "Phrases et plus"),
    "changes.min_score.facts": ("Numbers, dates, advice", "Nombres, dates, conseils"),
    "changes.order": ("Order", "Ordre"),
    "changes.order.time": ("Newest first", "Plus récents d’abord"),
    "changes.order.score": ("What matters most first", "Plus importants d’abord"),
    "changes.submit": ("Show changes", "Afficher les changements"),
    "changes.atom": ("This list as a feed (Atom)", "Cette liste en fil (Atom)"),
    "changes.of_page": ("Changes of", "Changements de"),
    "changes.none": ("No change is known.", "Aucun changement n’est connu."),
    "changes.kind.content": ("Content changed", "Contenu modifié"),
    "changes.kind.boilerplate": ("Nothing of the content changed", "Contenu inchangé"),
    "changes.kind.new": ("New page", "Nouvelle page"),
    "changes.kind.gone": ("Page gone", "Page disparue"),
    "changes.kind.redirect": ("Leads elsewhere now", "Mène maintenant ailleurs"),
    "changes.kind.error": ("Answered with an error", "A répondu par une erreur"),
    "trouble.400.score": (
        "The parameter {name} is “{value}”, but must be a number from 0 to 1.",
        "Le paramètre {name} est «␣{value}␣», mais doit être un nombre de 0 à 1.",
    ),
    "trouble.400.place": (
        "The parameter {name} does not name a place in this list.",
        "Le paramètre {name} ne désigne aucun endroit de cette liste.",
    ),
    "compare.live": ("Compare with the page of today", "Comparer avec la page d’aujourd’hui"),
    "compare.live.notice": (
        "The newer page is the site’s page of today. It was fetched for this comparison only and "
        "is not in the archive.",
        "La page récente est celle d’aujourd’hui, lue sur le site pour cette comparaison "
        "seulement; elle n’est pas dans les archives.",
    ),
    "trouble.503.live": (
        "Today’s page cannot be had: its site does not answer with a page, does not allow it, or "
        "builds it with scripts.",
        "La page d’aujourd’hui est inaccessible␣: le site n’y répond pas par une page, ne le "
        "permet pas, ou la construit avec des scripts.",
    ),
    "trouble.503.live_soon": (
        "This site was asked for a page a moment ago; please try again in a minute.",
        "Ce site vient d’être consulté; réessayez dans une minute.",
    ),
    "trouble.404.compare.live": (
        "Comparisons with pages of today are switched off here.",
        "Les comparaisons avec les pages d’aujourd’hui sont désactivées ici.",
    ),
    "trouble.404.compare": (
        "There are no two such captures in the archive.",
        "Il n’y a pas deux telles captures dans les archives.",
    ),
    "trouble.404.compare.no_text": (
        "One of these captures has no text that could be compared.",
        "L’une de ces captures n’a pas de texte à comparer.",
    ),
    "trouble.404.compare.unreadable": (
        "The stored record of one of these captures is damaged.",
        "L’enregistrement de l’une de ces captures est endommagé.",
    ),
    "trouble.404.compare.too_large": (
        "These captures are too large to be compared.",
        "Ces captures sont trop volumineuses pour être comparées.",
    ),
}

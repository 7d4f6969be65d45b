"""The sentences about a page's history and its pictures, as those of all others are in `texts`."""

from __future__ import annotations

WRITTEN: dict[str, tuple[str, str]] = {
    "history.title": ("History of a page", "Historique d’une page"),
    "history.years": ("Years", "Années"),
    "history.calendar": ("Days of {year} with captures", "Jours de {year} avec des captures"),
    "history.none": (
        "This page was not captured in {year}.",
        "Cette page n’a pas été capturée en {year}.",
    ),
    "history.timeline": ("One after the other", "L’une après l’autre"),
    "history.timeline.words": (
        "Oldest first. Each capture is compared with the one before it that found a page.",
        "De la plus ancienne à la plus récente. Chaque capture est comparée à la précédente "
        "qui a trouvé une page.",
    ),
    "history.compare": ("Compare with {day}", "Comparer avec le {day}"),
    "history.choose": ("Compare with another capture", "Comparer avec une autre capture"),
    "history.chosen": (
        "Choose below what to compare with the capture of",
        "Choisissez ci-dessous ce qui est à comparer avec la capture du",
    ),
    "history.unchoose": ("Choose another capture", "Choisir une autre capture"),
    "history.changes": (
        "Its changes, also as a feed",
        "Ses changements, aussi en fil",
    ),
    "history.link": ("Calendar of all captures", "Calendrier de toutes les captures"),
    "calendar.weekdays": ("Su Mo Tu We Th Fr Sa", "di lu ma me je ve sa"),
    "calendar.day": (": {captures}", "␣: {captures}"),
    "calendar.day.changed": (", changed", ", modifiée"),
    "calendar.day.no_page": (", no page found", ", aucune page trouvée"),
    "legend.changed": ("the content changed", "le contenu a changé"),
    "legend.kept": ("captured, no change", "capturée, sans changement"),
    "legend.no_page": ("only a redirect or an error", "seulement une redirection ou une erreur"),
    "change.first": ("First capture of the page", "Première capture de la page"),
    "change.same": ("Unchanged", "Inchangée"),
    "change.code": ("Same text, other code", "Même texte, autre code"),
    "change.changed": ("Content changed", "Contenu modifié"),
    "found.redirect": ("Redirect", "Redirection"),
    "found.error": ("Error", "Erreur"),
    "found.other": ("No usable answer", "Aucune réponse utilisable"),
    "trouble.404.history": (
        "Name the page as ?url=, with its whole address such as https://example.org/page.",
        "Nommez la page par ?url=, avec son adresse entière comme https://example.org/page.",
    ),
    "picture.thumbnail": (
        "How the page looked on {day}, first screen",
        "Apparence de la page le {day}, premier écran",
    ),
    "picture.screenshot": (
        "Screenshot of the whole page",
        "Capture d’écran de la page entière",
    ),
    "picture.caption": (
        "As a browser showed it during the capture",
        "Telle qu’un navigateur l’affichait lors de la capture",
    ),
    "trouble.404.thumbnail": (
        "There is no thumbnail of capture {id}.",
        "Il n’y a pas de vignette de la capture {id}.",
    ),
    "trouble.404.screenshot": (
        "There is no screenshot of capture {id}.",
        "Il n’y a pas de capture d’écran de la capture {id}.",
    ),
}

"""The sentences of the page of what can be taken away."""

from __future__ import annotations

WRITTEN: dict[str, tuple[str, str]] = {
    "nav.data": ("Data", "Données"),
    "data.title": ("Data to take away", "Données à emporter"),
    "data.lead": (
        "What the archive has, as files and as addresses for programs. Nothing here needs a key.",
        "Ce que les archives possèdent, en fichiers et en adresses pour programmes. "
        "Rien ici n’exige de clé.",
    ),
    "data.sets": ("Data sets", "Jeux de données"),
    "data.sets.none": (
        "No data set has been exported yet. The operator’s command is",
        "Aucun jeu de données n’a encore été exporté. La commande de l’exploitant est",
    ),
    "data.table.captures": ("Captures", "Captures"),
    "data.table.text": ("Text of pages", "Texte des pages"),
    "data.table.changes": ("Changes", "Changements"),
    "data.kind.source": ("source {name}", "source {name}"),
    "data.kind.campaign": ("campaign {name}", "campagne {name}"),
    "data.kind.job": ("job {name}", "tâche {name}"),
    "data.rows.one": ("{n} row", "{n} ligne"),
    "data.rows.many": ("{n} rows", "{n} lignes"),
    "data.as_of": ("The archive as of", "Les archives au"),
    "data.cite": ("Cite as", "Citer ainsi"),
    "data.files": ("Files of {name}", "Fichiers de {name}"),
    "data.file": ("File", "Fichier"),
    "data.rows": ("Rows", "Lignes"),
    "data.size": ("Size", "Taille"),
    "data.sha256": ("SHA-256", "SHA-256"),
    "data.dictionary": ("Data dictionary of {name}", "Dictionnaire de données de {name}"),
    "data.column": ("Column", "Colonne"),
    "data.type": ("Type", "Type"),
    "data.means": ("What it means", "Signification"),
    "data.formulas": (
        "Texts are as they were captured. A spreadsheet takes a cell that begins with =, +, - or @ "
        "for a formula: import such columns as text.",
        "Les textes sont tels que capturés. Un tableur prend pour une formule une cellule qui "
        "commence par =, +, - ou @␣: importez ces colonnes comme du texte.",
    ),
    "data.wacz": ("Whole captures (WACZ)", "Captures entières (WACZ)"),
    "data.wacz.lead": (
        "WARC files with their index, for replayweb.page and other tools. They may be very large, "
        "can be resumed, and are prepared when they are first asked for.",
        "Des fichiers WARC avec leur index, pour replayweb.page et d’autres outils. Ils peuvent "
        "être très gros, se reprennent, et sont préparés à la première demande.",
    ),
    "data.wacz.none": ("Nothing is captured and indexed yet.", "Rien n’est encore indexé."),
    "data.wacz.campaigns": ("By campaign", "Par campagne"),
    "data.wacz.sources": ("By source", "Par source"),
    "data.wacz.jobs": ("By job", "Par tâche"),
    "data.wacz.name": ("What", "Quoi"),
    "data.wacz.files": ("WARC files", "Fichiers WARC"),
    "data.programs": ("For programs", "Pour les programmes"),
    "data.programs.captures": (
        "All captures, page by page, and later only what has come since",
        "Toutes les captures, page par page, et plus tard seulement les nouvelles",
    ),
    "data.programs.cdx": (
        "The index of captures, as a CDX server",
        "L’index des captures, comme un serveur CDX",
    ),
    "data.programs.description": (
        "The description of every address, with its parameters (OpenAPI)",
        "La description de chaque adresse, avec ses paramètres (OpenAPI)",
    ),
    "data.programs.robots": (
        "What crawlers may read",
        "Ce que les robots peuvent lire",
    ),
    "trouble.404.data.withdrawn": (
        "The data set {name} is withdrawn: something in it is not shown any more.",
        "Le jeu de données {name} est retiré␣: un élément n’en est plus montré.",
    ),
    "trouble.404.data": (
        "There is no data set with the file {name}.",
        "Aucun jeu de données n’a le fichier {name}.",
    ),
}

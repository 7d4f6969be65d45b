"""The sentences about WACZ files, as those of all others are written in `texts`."""

from __future__ import annotations

WRITTEN: dict[str, tuple[str, str]] = {
    "capture.wacz": ("Download this page alone (WACZ)", "Télécharger cette page seule (WACZ)"),
    "trouble.404.wacz": (
        "There is nothing captured and indexed under the name {name}.",
        "Rien n’est capturé et indexé sous le nom {name}.",
    ),
    "trouble.503.prepare": (
        "This file is being prepared; please try again in a few seconds.",
        "Ce fichier est en préparation; réessayez dans quelques secondes.",
    ),
    "trouble.503.repair": (
        "This file is temporarily unavailable, its storage is being repaired.",
        "Ce fichier est temporairement indisponible, son stockage est en réparation.",
    ),
}

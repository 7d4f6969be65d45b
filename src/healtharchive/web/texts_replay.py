"""The sentences of replayed pages, as those of all others are written in `texts`."""

from __future__ import annotations

WRITTEN: dict[str, tuple[str, str]] = {
    "replay.open": ("Replay with scripts and pictures", "Rejouer avec scripts et images"),
    "replay.facts": ("About this capture", "À propos de cette capture"),
    "replay.others": ("Other captures", "Autres captures"),
    "replay.cite": ("Cite", "Citer"),
    "replay.plain": ("Plain view without scripts", "Vue simple, sans scripts"),
    "replay.noscript": (
        "Replay runs in your browser and needs JavaScript.",
        "La relecture se fait dans votre navigateur et exige JavaScript.",
    ),
    "replay.absent": (
        "The page in the frame was not captured together with the one described here.",
        "La page dans le cadre n’a pas été capturée avec celle qui est décrite ici.",
    ),
    "replay.by": (
        "Replayed in your browser from the archive’s own files by ReplayWeb.page, a free program "
        "(AGPL 3.0, github.com/webrecorder/replayweb.page). Nothing is loaded from the live web.",
        "Rejouée dans votre navigateur, à partir des fichiers des archives, par ReplayWeb.page, un "
        "logiciel libre (AGPL 3.0, github.com/webrecorder/replayweb.page). "
        "Rien ne vient du web actuel.",
    ),
    "trouble.404.replay": (
        "Replay is not installed here; the plain view of each capture is. "
        "The operator installs it with scripts/replay-web and starts `healtharchive serve`.",
        "La relecture n’est pas installée ici; la vue simple de chaque capture l’est. "
        "L’exploitant l’installe avec scripts/replay-web et lance `healtharchive serve`.",
    ),
}

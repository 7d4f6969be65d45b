"""The sentences of the page that cites a capture, as those of all others are written in `texts`."""

from __future__ import annotations

WRITTEN: dict[str, tuple[str, str]] = {
    "cite.title": ("Cite and prove", "Citer et prouver"),
    "cite.permanent": ("Permanent address", "Adresse permanente"),
    "cite.permanent.why": (
        "It names the page and the moment of its capture, so it stays right when the archive is "
        "moved or rebuilt.",
        "Elle nomme la page et le moment de sa capture; elle reste donc juste si les archives sont "
        "déplacées ou reconstruites.",
    ),
    "cite.styles": ("Citations", "Citations"),
    "cite.style.apa": ("APA", "APA"),
    "cite.style.mla": ("MLA", "MLA"),
    "cite.style.vancouver": ("Vancouver", "Vancouver"),
    "cite.style.bibtex": ("BibTeX", "BibTeX"),
    "cite.style.ris": ("RIS", "RIS"),
    "cite.download": ("Download (.{suffix})", "Télécharger (.{suffix})"),
    "cite.proof": ("Proof", "Preuve"),
    "cite.proof.lead": (
        "Each line below can be checked with the next, by anybody and with other tools than ours.",
        "Chaque ligne se vérifie avec la suivante, par n’importe qui et avec d’autres outils que "
        "les nôtres.",
    ),
    "cite.proof.body": ("The archived body has the digest", "Le corps archivé a l’empreinte"),
    "cite.proof.record": (
        "It stands in a WARC record of {length} bytes, at byte {offset} of its file:",
        "Il se trouve dans un enregistrement WARC de {length} octets, à l’octet {offset} de son "
        "fichier␣:",
    ),
    "cite.proof.segment": ("That file is", "Ce fichier est"),
    "cite.proof.manifest": (
        "The file, its size and its digest are listed in the sealed manifest of",
        "Le fichier, sa taille et son empreinte figurent dans le manifeste scellé de",
    ),
}

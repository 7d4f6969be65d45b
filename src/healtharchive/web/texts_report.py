"""The sentences about reports, and about what is refused or not shown; as those of `texts`."""

from __future__ import annotations

WRITTEN: dict[str, tuple[str, str]] = {
    "report.link": ("Report a problem", "Signaler un problème"),
    "report.title": ("Report a problem", "Signaler un problème"),
    "report.lead": (
        "Tell the archive’s operator about an error, or ask that something is no longer shown. "
        "A person reads it.",
        "Signalez une erreur à l’exploitant des archives, ou demandez qu’un contenu ne soit plus "
        "montré. Une personne lit ce que vous écrivez.",
    ),
    "report.site": (
        "The page itself is not ours: its publisher answers for what it says.",
        "La page elle-même n’est pas à nous␣: son éditeur répond de ce qu’elle dit.",
    ),
    "report.about": ("It is about", "Il s’agit de"),
    "report.kind": ("What is it?", "De quoi s’agit-il?"),
    "report.kind.error": ("An error in the archive", "Une erreur dans les archives"),
    "report.kind.takedown": (
        "This should not be shown",
        "Ceci ne devrait pas être montré",
    ),
    "report.kind.other": ("Something else", "Autre chose"),
    "report.text": ("What should we know?", "Que devons-nous savoir?"),
    "report.contact": (
        "How can we reach you? (optional)",
        "Comment vous joindre? (facultatif)",
    ),
    "report.contact.why": (
        "Only used to answer you; it is never published.",
        "Sert seulement à vous répondre; n’est jamais publié.",
    ),
    "report.empty": ("Leave this field empty", "Laissez ce champ vide"),
    "report.send": ("Send", "Envoyer"),
    "report.thanks.title": ("Thank you", "Merci"),
    "report.thanks": (
        "Your report has the number {id}. Please name it when you write to us again.",
        "Votre signalement porte le numéro {id}. Mentionnez-le si vous nous récrivez.",
    ),
    "report.wrong.kind": ("Choose what it is.", "Choisissez de quoi il s’agit."),
    "report.wrong.text": (
        "Write what we should know, in at most {most} characters.",
        "Écrivez ce que nous devons savoir, en {most} caractères au plus.",
    ),
    "report.wrong.contact": (
        "Give your contact in at most {most} characters.",
        "Donnez vos coordonnées en {most} caractères au plus.",
    ),
    "report.wrong.url": (
        "The address must be one of the web, in at most {most} characters.",
        "L’adresse doit être une adresse du Web, en {most} caractères au plus.",
    ),
    "report.url": ("Address of the page (optional)", "Adresse de la page (facultatif)"),
    "admin.title": ("Reports of readers", "Signalements des lecteurs"),
    "admin.none": ("There is no report.", "Il n’y a pas de signalement."),
    "admin.all": ("Show settled ones too", "Montrer aussi ceux qui sont réglés"),
    "admin.settle": ("Settle it at the command line:", "À régler en ligne de commande␣:"),
    "report.state.open": ("Open", "Ouvert"),
    "report.state.answered": ("Answered", "Répondu"),
    "report.state.dismissed": ("Dismissed", "Écarté"),
    "trouble.401.title": ("Password needed", "Mot de passe requis"),
    "trouble.401.admin": (
        "This page is for the archive’s operator.",
        "Cette page est réservée à l’exploitant des archives.",
    ),
    "trouble.403.title": ("Refused", "Refusé"),
    "trouble.403.form": (
        "A report can only be sent from this archive’s own form.",
        "Un signalement s’envoie seulement à partir du formulaire de ces archives.",
    ),
    "trouble.405.title": ("Not possible here", "Impossible ici"),
    "trouble.405.page": (
        "This address can only be read.",
        "Cette adresse peut seulement être lue.",
    ),
    "trouble.413.title": ("Too long", "Trop long"),
    "trouble.413.form": (
        "A report may have at most {most} bytes.",
        "Un signalement peut avoir au plus {most} octets.",
    ),
    "trouble.429.report": (
        "Too many reports were sent today. Please try again tomorrow.",
        "Trop de signalements ont été envoyés aujourd’hui. Réessayez demain.",
    ),
    "trouble.451.title": ("Not shown", "Non affichée"),
    "trouble.451.capture": (
        "The archive keeps what was captured here but does not show it.",
        "Les archives gardent ce qui a été capturé ici, mais ne le montrent pas.",
    ),
}

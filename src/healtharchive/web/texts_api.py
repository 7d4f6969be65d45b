"""What the addresses for programs say when they are asked for something they cannot give."""

from __future__ import annotations

WRITTEN: dict[str, tuple[str, str]] = {
    "trouble.400.title": ("Cannot be understood", "Demande incompréhensible"),
    "trouble.400.missing": (
        "The parameter {name} is missing.",
        "Le paramètre {name} manque.",
    ),
    "trouble.400.characters": (
        "The parameter {name} holds characters that cannot be printed.",
        "Le paramètre {name} contient des caractères non imprimables.",
    ),
    "trouble.400.often": (
        "The parameter {name} may be given {most} times at most.",
        "Le paramètre {name} peut être donné {most} fois au plus.",
    ),
    "trouble.400.text": (
        "Something that was sent holds characters that no text may have.",
        "Un texte envoyé contient des caractères qu’aucun texte ne peut avoir.",
    ),
    "trouble.400.value": (
        "The parameter {name} cannot have this value.",
        "Le paramètre {name} ne peut pas avoir cette valeur.",
    ),
    "trouble.400.choice": (
        "The parameter {name} is “{value}”, but must be one of: {choices}.",
        "Le paramètre {name} est «␣{value}␣», mais doit être l’un de␣: {choices}.",
    ),
    "trouble.400.number": (
        "The parameter {name} is “{value}”, but must be a whole number from {least} to {most}.",
        "Le paramètre {name} est «␣{value}␣», mais doit être un nombre entier de {least} à {most}.",
    ),
    "trouble.400.moment": (
        "The parameter {name} is “{value}”, but must be 4 to 14 digits of a date, "
        "such as 20260124.",
        "Le paramètre {name} est «␣{value}␣», mais doit être une date de 4 à 14 chiffres, "
        "telle que 20260124.",
    ),
    "trouble.400.url": (
        "The parameter url is empty or too long.",
        "Le paramètre url est vide ou trop long.",
    ),
    "trouble.400.filter": (
        "The filter “{value}” cannot be used: write [!][=|~]field:text, with an RE2 expression "
        "after ~.",
        "Le filtre «␣{value}␣» est inutilisable␣: écrivez [!][=|~]champ:texte, avec une expression "
        "RE2 après ~.",
    ),
    "trouble.400.collapse": (
        "The parameter collapse is “{value}”, but must be a field or field:N, with one of: "
        "{choices}.",
        "Le paramètre collapse est «␣{value}␣», mais doit être un champ ou champ:N, avec l’un de␣: "
        "{choices}.",
    ),
    "trouble.400.resume": (
        "The resumeKey “{value}” was not made here.",
        "La clé resumeKey «␣{value}␣» ne vient pas d’ici.",
    ),
    "trouble.400.together": (
        "{name} cannot be used together with {other}.",
        "{name} ne peut pas être utilisé avec {other}.",
    ),
    "trouble.400.datetime": (
        "Accept-Datetime is “{value}”, but must be an HTTP date such as "
        "Sat, 24 Jan 2026 06:28:01 GMT.",
        "Accept-Datetime est «␣{value}␣», mais doit être une date HTTP telle que "
        "Sat, 24 Jan 2026 06:28:01 GMT.",
    ),
    "trouble.414.title": ("Address too long", "Adresse trop longue"),
    "trouble.414.page": (
        "This address is longer than {most} bytes.",
        "Cette adresse dépasse {most} octets.",
    ),
    "trouble.429.title": ("Too many requests", "Trop de demandes"),
    "trouble.429.page": (
        "Too many requests came from your address; please go on in {seconds} s.",
        "Trop de demandes sont venues de votre adresse; continuez dans {seconds} s.",
    ),
    "trouble.503.busy": (
        "Too much is being read at this moment; please try again in a few seconds.",
        "Trop de lectures sont en cours en ce moment; réessayez dans quelques secondes.",
    ),
    "trouble.431.title": ("Headers too long", "En-têtes trop longs"),
    "trouble.431.page": (
        "The headers of this request are longer than {most} bytes.",
        "Les en-têtes de cette demande dépassent {most} octets.",
    ),
}

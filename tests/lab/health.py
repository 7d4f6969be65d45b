"""Small pages about health, in English and French, in a frame as government sites have it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class HealthPage:
    """A page: its title, its paragraphs by heading, and what stands around them."""

    title: str
    language: str
    sections: tuple[tuple[str, tuple[str, ...]], ...]
    menu: tuple[str, ...] = ("Home", "Health", "Services", "Contact us")
    modified: str = "2026-03-01"
    banner: str = ""
    style: str = "mwsgeneric"

    def html(self) -> str:
        """The page as its site serves it."""
        links = "".join(f'<li><a href="#">{each}</a></li>' for each in self.menu)
        banner = f'<div class="notice-bar"><p>{self.banner}</p></div>' if self.banner else ""
        parts = "".join(
            f"<h2>{heading}</h2>" + "".join(f"<p>{each}</p>" for each in paragraphs)
            for heading, paragraphs in self.sections
        )
        said = "Date modified:" if self.language == "en" else "Date de modification :"
        return (
            f'<!doctype html><html lang="{self.language}"><head><meta charset="utf-8">'
            f"<title>{self.title}</title></head><body><nav><ul>{links}</ul></nav>{banner}"
            f'<main class="{self.style}"><h1>{self.title}</h1>{parts}<dl id="wb-dtmd">'
            f"<dt>{said}</dt><dd><time>{self.modified}</time></dd></dl></main>"
            f"<footer><p>{' '.join(self.menu)}</p></footer></body></html>"
        )

    def with_sections(self, *sections: tuple[str, tuple[str, ...]]) -> HealthPage:
        """The same page with another content."""
        return replace(self, sections=sections)


def pages() -> tuple[HealthPage, ...]:
    """All of them; each has numbers, doses, advice and negations."""
    return (
        HealthPage(
            "Naloxone",
            "en",
            (
                (
                    "How to give it",
                    (
                        "Naloxone can reverse an opioid overdose within 2 to 5 minutes. "
                        "Spray 4 mg into one nostril while the person lies on the back.",
                        "Call 911 before you give the first dose. "
                        "Give a second dose when there is no answer after 3 minutes.",
                    ),
                ),
                (
                    "Who can carry it",
                    (
                        "Kits are free in more than 12 000 pharmacies across the country. "
                        "You do not need a prescription to receive a kit.",
                    ),
                ),
            ),
        ),
        HealthPage(
            "Measles vaccine",
            "en",
            (
                (
                    "Schedule",
                    (
                        "Children should receive the first dose at 12 months of age. "
                        "The second dose is given at 18 months or before school starts.",
                        "Adults born before 1970 are considered immune in most provinces.",
                    ),
                ),
                (
                    "Side effects",
                    (
                        "About 1 in 20 children has a mild fever after the vaccine. "
                        "Serious reactions are rare and must be reported to your clinic.",
                        "The vaccine is not recommended during pregnancy.",
                    ),
                ),
            ),
        ),
        HealthPage(
            "Acetaminophen and children",
            "en",
            (
                (
                    "Dosage",
                    (
                        "Give 15 mg/kg every 6 hours and never more than 4 doses a day. "
                        "Use the syringe that comes with the bottle.",
                        "Do not give it to a baby under 3 months without medical advice.",
                    ),
                ),
                (
                    "Overdose",
                    (
                        "Too much of the medicine can damage the liver for life. "
                        "Contact a poison centre immediately after a dose of more than 150 mg/kg.",
                    ),
                ),
            ),
        ),
        HealthPage(
            "Vaccin contre la grippe",
            "fr",
            (
                (
                    "Qui devrait le recevoir",
                    (
                        "Le vaccin est offert à toute personne de 6 mois et plus. "
                        "Les personnes de 65 ans et plus devraient recevoir une dose élevée.",
                        "Le vaccin n’est plus offert après le 31 mars 2026.",
                    ),
                ),
                (
                    "Effets secondaires",
                    (
                        "Environ 5 % des enfants ont une fièvre légère pendant 2 jours. "
                        "Consultez un médecin si la fièvre dépasse 39 °C.",
                    ),
                ),
            ),
            ("Accueil", "Santé", "Services", "Contact"),
        ),
        HealthPage(
            "Eau potable dans les puits",
            "fr",
            (
                (
                    "Analyses",
                    (
                        "Faites analyser l’eau de votre puits au moins 2 fois par année. "
                        "La concentration maximale de plomb est de 0,005 mg/L.",
                        "Ne buvez pas l’eau avant d’avoir reçu les résultats du laboratoire.",
                    ),
                ),
                (
                    "Désinfection",
                    (
                        "Faites bouillir l’eau à gros bouillons pendant 1 minute. "
                        "Vous devez jeter les glaçons faits avec cette eau.",
                    ),
                ),
            ),
            ("Accueil", "Santé", "Services", "Contact"),
        ),
        HealthPage(
            "Opioïdes et conduite",
            "fr",
            (
                (
                    "Risques",
                    (
                        "Les opioïdes ralentissent les réflexes pendant 24 heures. "
                        "Il ne faut jamais conduire après une première dose.",
                        "Près de 1 000 accidents par année leur sont attribués au pays.",
                    ),
                ),
                (
                    "Que faire",
                    (
                        "Demandez à un proche de vous ramener à la maison. "
                        "Évitez l’alcool tant que dure le traitement.",
                    ),
                ),
            ),
            ("Accueil", "Santé", "Services", "Contact"),
        ),
    )

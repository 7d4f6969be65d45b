"""Every sentence of the pages, English and French side by side: key → (en, fr).

French follows Canadian usage: a no-break space (␣ below) before a colon and inside « », none
before ? ! and ;. `{names}` are filled in by `language.text`.
"""

from __future__ import annotations

from collections.abc import Mapping

from healtharchive.web import (
    texts_api,
    texts_changes,
    texts_cite,
    texts_data,
    texts_history,
    texts_operations,
    texts_replay,
    texts_report,
    texts_search,
    texts_storage,
    texts_wacz,
)

_WRITTEN: dict[str, tuple[str, str]] = {
    # The frame of every page
    "site.name": ("HealthArchive", "HealthArchive"),
    "site.skip": ("Skip to content", "Aller au contenu"),
    "site.switch": ("Français", "English"),
    "site.about": (
        "A record of public health pages as they were published. Not a source of current advice.",
        "Une mémoire des pages publiques sur la santé, telles que publiées. "
        "Ne donne pas de conseils actuels.",
    ),
    "site.json": ("This page as JSON", "Cette page en JSON"),
    "site.api": ("API description (OpenAPI)", "Description de l’API (OpenAPI)"),
    "nav.label": ("Main", "Principale"),
    "nav.search": ("Search", "Recherche"),
    "nav.campaigns": ("Campaigns", "Campagnes"),
    "nav.jobs": ("Jobs", "Tâches"),
    "nav.sources": ("Sources", "Sources"),
    "nav.targets": ("Storage", "Stockage"),
    "none": ("None", "Aucune"),
    "no": ("No", "Non"),
    "unknown": ("Unknown", "Inconnu"),
    "never": ("Never", "Jamais"),
    "not_yet": ("Not yet", "Pas encore"),
    "bytes.one": ("{n} byte", "{n} octet"),
    "bytes.many": ("{n} bytes", "{n} octets"),
    "pages.label": ("Pages of results", "Pages de résultats"),
    "pages.previous": ("← Previous", "← Précédente"),
    "pages.first": ("Back to the first page", "Retour à la première page"),
    "pages.next": ("Next →", "Suivante →"),
    "pages.here": ("Page {page} of {last}", "Page {page} sur {last}"),
    "refresh.on": (
        "This page reloads every {seconds} seconds while work is under way.",
        "Cette page se recharge toutes les {seconds} secondes pendant le travail.",
    ),
    "refresh.stop": ("Stop reloading", "Ne plus recharger"),
    # Search
    "search.title": ("Search the archive", "Chercher dans les archives"),
    "search.lead": (
        "Find what a public health page said, and when. Words are matched in English and French; "
        "put a phrase in quotation marks.",
        "Retrouvez ce que disait une page publique sur la santé, et quand. Les mots sont cherchés "
        "en français et en anglais; mettez une expression entre guillemets.",
    ),
    "search.q": ("Words to find", "Mots à chercher"),
    "search.submit": ("Search", "Chercher"),
    "search.filters": (
        "Filters: source, campaign, language, type, dates, order",
        "Filtres␣: source, campagne, langue, type, dates, ordre",
    ),
    "search.source": ("Source", "Source"),
    "search.source.any": ("All sources", "Toutes les sources"),
    "search.campaign": ("Campaign", "Campagne"),
    "search.campaign.any": ("All campaigns", "Toutes les campagnes"),
    "search.lang": ("Language of the page", "Langue de la page"),
    "search.lang.any": ("All languages", "Toutes les langues"),
    "search.type": ("Type", "Type"),
    "search.type.any": ("All types", "Tous les types"),
    "search.from": ("Captured from", "Capturée depuis le"),
    "search.to": ("Captured until", "Capturée jusqu’au"),
    "search.which": ("Captures", "Captures"),
    "search.sort": ("Order", "Ordre"),
    "search.page": ("Page number", "Numéro de page"),
    "which.latest": ("The latest of each page", "La dernière de chaque page"),
    "which.all": ("All captures", "Toutes les captures"),
    "sort.relevance": ("Best match first", "Plus pertinentes d’abord"),
    "sort.newest": ("Newest first", "Plus récentes d’abord"),
    "sort.oldest": ("First captured first", "Premières capturées d’abord"),
    "language.en": ("English", "Anglais"),
    "language.fr": ("French", "Français"),
    "type.html": ("Web page", "Page web"),
    "type.pdf": ("PDF", "PDF"),
    "type.text": ("Plain text", "Texte brut"),
    "search.active": ("Active filters", "Filtres actifs"),
    "search.chip": ("{field}: {label}", "{field}␣: {label}"),
    "search.remove": ("remove", "retirer"),
    "search.everything": ("Everything", "Tout"),
    "search.results.one": ("{n} result", "{n} résultat"),
    "search.results.many": ("{n} results", "{n} résultats"),
    "search.captures.one": ("{n} capture", "{n} capture"),
    "search.captures.many": ("{n} captures", "{n} captures"),
    "search.nothing": ("No archived page matches.", "Aucune page archivée ne correspond."),
    "search.nothing.words": (
        "Use fewer words, or check their spelling.",
        "Employez moins de mots, ou vérifiez leur orthographe.",
    ),
    "search.nothing.filters": ("Search without filters", "Chercher sans filtres"),
    "search.nothing.campaigns": (
        "See which campaigns are ready for search",
        "Voir quelles campagnes sont prêtes pour la recherche",
    ),
    "search.errors.one": ("{n} thing to correct", "{n} élément à corriger"),
    "search.errors.many": ("{n} things to correct", "{n} éléments à corriger"),
    "wrong.choice": (
        "{field}: “{value}” is not one of the choices ({choices}).",
        "{field}␣: «␣{value}␣» ne fait pas partie des choix ({choices}).",
    ),
    "wrong.date": (
        "{field}: “{value}” is not a date such as 2026-01-24.",
        "{field}␣: «␣{value}␣» n’est pas une date comme 2026-01-24.",
    ),
    "wrong.dates": (
        "{field}: the first day comes after the last one.",
        "{field}␣: le premier jour vient après le dernier.",
    ),
    "wrong.number": (
        "{field}: “{value}” is not a whole number from {least} to {most}.",
        "{field}␣: «␣{value}␣» n’est pas un nombre entier de {least} à {most}.",
    ),
    "wrong.long": (
        "{field}: more than {most} characters.",
        "{field}␣: plus de {most} caractères.",
    ),
    # A capture
    "capture.banner": (
        "Archived copy, not current advice.",
        "Copie archivée, ne constitue pas un conseil actuel.",
    ),
    "capture.banner.date": (
        "This page was captured on",
        "Cette page a été capturée le",
    ),
    "capture.alone": ("Open the archived page alone", "Ouvrir la page archivée seule"),
    "capture.download": ("Download the archived file", "Télécharger le fichier archivé"),
    "capture.unframed": (
        "This kind of file is not shown here; it can be downloaded.",
        "Ce type de fichier n’est pas affiché ici; il peut être téléchargé.",
    ),
    "capture.warc": ("Download the raw record (WARC)", "Télécharger l’enregistrement brut (WARC)"),
    "capture.live": ("See the address on the live web", "Voir l’adresse sur le web actuel"),
    "capture.redirect": (
        "This capture is a redirect. The frame shows where it led, if that was captured.",
        "Cette capture est une redirection. Le cadre montre où elle menait, "
        "si cette page a été capturée.",
    ),
    "capture.cut": (
        "The archived copy is not complete. It was cut by:",
        "La copie archivée n’est pas complète. Elle a été coupée par␣:",
    ),
    "capture.frame": ("Archived page: {title}", "Page archivée␣: {title}"),
    "capture.others": ("Captures of this page", "Captures de cette page"),
    "capture.times.one": ("Captured {n} time.", "Capturée {n} fois."),
    "capture.times.many": ("Captured {n} times.", "Capturée {n} fois."),
    "capture.this": ("this one", "celle-ci"),
    "capture.same": ("same content", "même contenu"),
    "capture.nearest": (
        "The {n} captures nearest in time are listed.",
        "Les {n} captures les plus proches dans le temps sont affichées.",
    ),
    "capture.facts": ("Facts of this capture", "Données de cette capture"),
    "fact.url": ("Address (URL)", "Adresse (URL)"),
    "fact.captured_at": ("Captured at (UTC)", "Capturée à (UTC)"),
    "fact.source": ("Source", "Source"),
    "fact.campaign": ("Campaign", "Campagne"),
    "fact.job": ("Job", "Tâche"),
    "fact.status": ("HTTP status", "Code HTTP"),
    "fact.mime": ("Media type", "Type de média"),
    "fact.language": ("Language", "Langue"),
    "fact.payload_bytes": ("Size of the content", "Taille du contenu"),
    "fact.payload_digest": ("Digest of the content", "Empreinte du contenu"),
    "fact.record_type": ("WARC record type", "Type d’enregistrement WARC"),
    "fact.segment": ("WARC file", "Fichier WARC"),
    "fact.place": ("Place in the file", "Emplacement dans le fichier"),
    "fact.place.words": (
        "From byte {offset}, {length} bytes long",
        "À partir de l’octet {offset}, {length} octets",
    ),
    "fact.truncated": ("Cut short", "Tronquée"),
    # Campaigns
    "campaigns.title": ("Campaigns", "Campagnes"),
    "campaigns.lead": (
        "A campaign captures a set of sources once. It is ready for search when every source "
        "has been captured and indexed.",
        "Une campagne capture une fois un ensemble de sources. Elle est prête pour la recherche "
        "quand chaque source a été capturée et indexée.",
    ),
    "campaigns.none": (
        "There is no campaign yet. The command that creates one:",
        "Il n’y a pas encore de campagne. La commande qui en crée une␣:",
    ),
    "campaign.title": ("Campaign", "Campagne"),
    "campaign.ready.yes": ("Ready for search: YES", "Prête pour la recherche␣: OUI"),
    "campaign.ready.no": ("Ready for search: NO", "Prête pour la recherche␣: NON"),
    "campaign.reason.empty": ("It has no job.", "Elle n’a aucune tâche."),
    "campaign.reason.job": (
        "Job {id} ({source}): {status}",
        "Tâche {id} ({source})␣: {status}",
    ),
    "campaign.reason.quality": (
        "Job {id} ({source}): the crawl is judged: {quality}",
        "Tâche {id} ({source})␣: capture jugée␣: {quality}",
    ),
    "campaign.note": (
        "Job {id} ({source}) is incomplete and was accepted as it is.",
        "La tâche {id} ({source}) est incomplète et a été acceptée telle quelle.",
    ),
    "campaign.search": ("Search this campaign", "Chercher dans cette campagne"),
    "campaign.jobs.title": ("Jobs", "Tâches"),
    "campaign.jobs.one": ("{n} job", "{n} tâche"),
    "campaign.jobs.many": ("{n} jobs", "{n} tâches"),
    # Jobs
    "jobs.title": ("Jobs", "Tâches"),
    "jobs.count.one": ("{n} job", "{n} tâche"),
    "jobs.count.many": ("{n} jobs", "{n} tâches"),
    "jobs.none": (
        "There is no job yet. The command that starts one:",
        "Il n’y a pas encore de tâche. La commande qui en lance une␣:",
    ),
    "job.of": ("Job {id}: {source}", "Tâche {id}␣: {source}"),
    "job.name": ("Job {id}", "Tâche {id}"),
    "job.progress": ("Progress of job {id}", "Avancement de la tâche {id}"),
    "job.progress.words": (
        "{finished} of {found} addresses settled ({percent}%)",
        "{finished} adresses traitées sur {found} ({percent}␣%)",
    ),
    "job.progress.none": ("No address found yet", "Aucune adresse trouvée pour l’instant"),
    "job.failed.one": ("{n} failed", "{n} en échec"),
    "job.failed.many": ("{n} failed", "{n} en échec"),
    "job.parked": (
        "Waiting, through no fault of its own:",
        "En attente, pour une cause extérieure␣:",
    ),
    "job.not_before": ("released at", "reprise à"),
    "job.last_error": ("Last error:", "Dernière erreur␣:"),
    "job.facts": ("Counts and times", "Décomptes et dates"),
    "job.count.queued": ("Addresses queued", "Adresses en file"),
    "job.count.in_flight": ("In flight", "En cours de capture"),
    "job.count.done": ("Done", "Capturées"),
    "job.count.failed": ("Failed", "En échec"),
    "job.count.excluded": ("Excluded", "Exclues"),
    "job.count.captures": ("Captures written", "Captures écrites"),
    "job.count.revisits": ("Unchanged since an earlier capture", "Inchangées depuis une capture"),
    "job.count.bytes": ("Written", "Écrit"),
    "job.count.retries": ("Retries spent", "Reprises utilisées"),
    "job.count.retries.words": ("{spent} of {budget}", "{spent} sur {budget}"),
    "job.count.parks": ("Times parked", "Mises en attente"),
    "job.count.rescues": ("Times rescued", "Sauvetages"),
    "job.created_at": ("Created", "Créée"),
    "job.started_at": ("Started", "Commencée"),
    "job.finished_at": ("Finished", "Terminée"),
    "job.indexed_at": ("Indexed", "Indexée"),
    "job.quality": ("Quality of the crawl", "Qualité de la capture"),
    "quality.COMPLETE": ("complete", "complète"),
    "quality.INCOMPLETE": ("incomplete", "incomplète"),
    "quality.REFUSED": ("cannot be judged", "ne peut être jugée"),
    "quality.ACCEPTED": ("incomplete, and accepted as it is", "incomplète, acceptée telle quelle"),
    "job.attempts": ("Attempts", "Tentatives"),
    "job.attempts.none": ("Nobody has taken the job yet.", "Personne n’a encore pris la tâche."),
    "attempt.fence": ("No.", "Nº"),
    "attempt.work": ("Work", "Travail"),
    "attempt.work.crawl": ("Capture", "Capture"),
    "attempt.work.index": ("Indexing", "Indexation"),
    "attempt.started": ("Started", "Début"),
    "attempt.ended": ("Ended", "Fin"),
    "attempt.running": ("Still running", "En cours"),
    "attempt.exit": ("Exit", "Issue"),
    "attempt.reason": ("Reason", "Raison"),
    "job.segments": ("WARC files", "Fichiers WARC"),
    "job.segments.none": ("No file is sealed yet.", "Aucun fichier n’est encore scellé."),
    "segment.name": ("Name", "Nom"),
    "segment.state": ("State", "État"),
    "segment.size": ("Size", "Taille"),
    "segment.records": ("Records", "Enregistrements"),
    "segment.unreadable": ("Unreadable", "Illisibles"),
    "segment.sha256": ("SHA-256", "SHA-256"),
    "segment.state.open": ("Open", "Ouvert"),
    "segment.state.sealed": ("Sealed", "Scellé"),
    "segment.state.shipped": ("Shipped", "Expédié"),
    "segment.state.verified": ("Verified", "Vérifié"),
    "segment.state.released": ("Released", "Libéré"),
    "segment.state.suspect": ("Suspect", "Suspect"),
    "job.remarks": ("Left out and noticed", "Laissé de côté et remarqué"),
    "job.remarks.none": (
        "Nothing yet; it is told when an attempt ends.",
        "Rien encore; c’est dit à la fin d’une tentative.",
    ),
    "remark.kind": ("What", "Quoi"),
    "remark.reason": ("Reason", "Raison"),
    "remark.number": ("How many", "Combien"),
    "remark.kind.excluded": ("Left out", "Laissé de côté"),
    "remark.kind.out_of_scope": ("Out of scope", "Hors du périmètre"),
    "remark.kind.noted": ("Noticed", "Remarqué"),
    "job.story": ("Journal, newest first", "Journal, du plus récent au plus ancien"),
    "job.story.none": ("Nothing is written yet.", "Rien n’est encore inscrit."),
    "event.pid": ("process", "processus"),
    "status.queued": ("Queued", "En file"),
    "status.running": ("Capturing", "Capture en cours"),
    "status.parked": ("Parked", "Mise en attente"),
    "status.retryable": ("To be retried", "À reprendre"),
    "status.paused": ("Paused", "Suspendue"),
    "status.completed": ("Captured, to be indexed", "Capturée, à indexer"),
    "status.indexing": ("Indexing", "Indexation en cours"),
    "status.indexed": ("Indexed", "Indexée"),
    "status.index_failed": ("Indexing failed", "Indexation échouée"),
    "status.failed": ("Failed", "Échouée"),
    "status.cancelled": ("Cancelled", "Annulée"),
    # Sources
    "sources.title": ("Sources", "Sources"),
    "sources.lead": (
        "The public sites that are captured.",
        "Les sites publics qui sont capturés.",
    ),
    "sources.none": (
        "There is no source yet. The command that adds one:",
        "Il n’y a pas encore de source. La commande qui en ajoute une␣:",
    ),
    "source.seeds": ("Begins at", "Commence à"),
    "source.languages": ("Languages", "Langues"),
    "source.search": ("Search in {name}", "Chercher dans {name}"),
    # Trouble, by HTTP status
    "trouble.404.title": ("Not found", "Introuvable"),
    "trouble.404.page": (
        "There is no page at this address.",
        "Il n’y a pas de page à cette adresse.",
    ),
    "trouble.404.capture": (
        "There is no capture {id} in the archive.",
        "Il n’y a pas de capture {id} dans les archives.",
    ),
    "trouble.404.url": (
        "The archive holds no capture of {url}.",
        "Les archives n’ont aucune capture de {url}.",
    ),
    "trouble.404.unreadable": (
        "The stored record of capture {id} is damaged and cannot be shown.",
        "L’enregistrement de la capture {id} est endommagé et ne peut pas être affiché.",
    ),
    "trouble.404.too_large": (
        "Capture {id} is too large to be shown; its raw record can be downloaded.",
        "La capture {id} est trop volumineuse pour être affichée; "
        "son enregistrement brut peut être téléchargé.",
    ),
    "trouble.404.campaign": (
        "There is no campaign named “{id}”.",
        "Il n’y a pas de campagne nommée «␣{id}␣».",
    ),
    "trouble.404.job": ("There is no job {id}.", "Il n’y a pas de tâche {id}."),
    "trouble.422.title": ("Something to correct", "Élément à corriger"),
    "trouble.500.title": ("Our mistake", "Erreur de notre part"),
    "trouble.500.page": (
        "This page could not be made; the error has been written down for the operator.",
        "Cette page n’a pas pu être produite; l’erreur a été notée pour l’exploitant.",
    ),
    "trouble.503.title": ("Temporarily unavailable", "Temporairement indisponible"),
    "trouble.503.database": (
        "The archive’s database cannot be reached now; please try again in a minute.",
        "La base de données des archives est injoignable; réessayez dans une minute.",
    ),
    "trouble.503.index": (
        "The search index cannot be read now; please try again in a minute.",
        "L’index de recherche est illisible pour l’instant; réessayez dans une minute.",
    ),
    "trouble.503.storage": (
        "The file that holds this capture cannot be read now; please try again in a minute.",
        "Le fichier de cette capture est illisible pour l’instant; réessayez dans une minute.",
    ),
    "trouble.home": ("Go to the search page", "Aller à la page de recherche"),
}

TEXTS: Mapping[str, tuple[str, str]] = {
    key: (english, french.replace("␣", "\u00a0"))
    for key, (english, french) in (
        _WRITTEN
        | texts_api.WRITTEN
        | texts_changes.WRITTEN
        | texts_cite.WRITTEN
        | texts_data.WRITTEN
        | texts_history.WRITTEN
        | texts_operations.WRITTEN
        | texts_replay.WRITTEN
        | texts_report.WRITTEN
        | texts_search.WRITTEN
        | texts_storage.WRITTEN
        | texts_wacz.WRITTEN
    ).items()
}

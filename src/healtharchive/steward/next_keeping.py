"""What becomes of backups, drift, certificates, reports and the lock: by itself, or not. Pure."""

from __future__ import annotations

from healtharchive.settings import Settings
from healtharchive.steward.alert_rules import Found, NextStep
from healtharchive.steward.condition import Condition
from healtharchive.steward.moments import moment, span
from healtharchive.steward.next_rounds import if_it_lives, in_round

RETRY_BACKUP_SECONDS = 900.0
RETRY_RESTORE_SECONDS = 21_600.0
LOOK_AT_ENDS_SECONDS = 3600.0


def after_old_backup(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a backup that is too old."""
    again = min(RETRY_BACKUP_SECONDS, settings.backup_every_seconds)
    by_itself = f"the steward tries again every {span(again)}, at most 6 times an hour."
    return NextStep(
        if_it_lives(condition, by_itself, "it makes one first."),
        "mend what the last attempt failed of: room in the backups' directory, a right to write "
        "there, `pg_dump`.",
    )


def after_bad_restore(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a backup that could not be restored, or was not tried for long."""
    again = min(RETRY_RESTORE_SECONDS, settings.restore_test_days * 86_400.0)
    by_itself = f"the steward tries the newest backup again every {span(again)}."
    return NextStep(
        if_it_lives(condition, by_itself, "it tries the newest one then."),
        "wrong bytes: look at the disk, and take a copy from a target. No right to create a "
        "database: give the role that right. Tables that differ: report it.",
    )


def after_drift(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of something that is not as it was written down."""
    return NextStep(
        "nothing is changed: it is compared again every minute.",
        "decide which side is right: restart what runs with the old settings, add the source "
        "again, or undo the change.",
    )


def after_expiry(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a certificate, a key or a token that ends or is not as it should be."""
    if found.subject == "token":
        return NextStep(
            "nothing: a token is not renewed; after its end it opens nothing.",
            "make a new one, put it where the old one is used, and revoke the old one.",
        )
    looked = in_round(condition, "expiry", LOOK_AT_ENDS_SECONDS, "looks at it again")
    if found.subject != "certificate":
        return NextStep(
            f"we renew nothing; {looked}",
            "mend what the sentence says of the file (who may read it, that it is there), or put "
            "a new key in its place, first on the other side and then here.",
        )
    return NextStep(
        f"we renew nothing; {looked}",
        "see why it is not renewed by who should do that (Caddy or certbot do so 30 days before), "
        "or why it cannot be looked at.",
    )


def after_lock(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of a deploy lock that was left behind."""
    return NextStep(
        "everything works as without it: a lock this old is ignored.",
        "end it, or declare another one if the deployment still goes on.",
    )


def after_reports(found: Found, condition: Condition, settings: Settings) -> NextStep:
    """Of reports that nobody has answered."""
    since = found.since
    waited = f" since {moment(since, condition.now)}" if since is not None else ""
    return NextStep(
        f"nothing: what is reported stays visible until a person has judged it{waited}.",
        "read each report, suppress what must not be shown, and answer it.",
    )

"""Every alert rule, in the order in which they are shown."""

from __future__ import annotations

from healtharchive.steward.alert_rules import AlertRule
from healtharchive.steward.rules_jobs import JOB_RULES
from healtharchive.steward.rules_keeping import KEEPING_RULES
from healtharchive.steward.rules_services import SERVICE_RULES
from healtharchive.steward.rules_storage import STORAGE_RULES

RULES: tuple[AlertRule, ...] = (*SERVICE_RULES, *STORAGE_RULES, *JOB_RULES, *KEEPING_RULES)

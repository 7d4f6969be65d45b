"""axe-core, the judge of contrast, names, roles and target sizes (WCAG 2.2 AA)."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.lab.front_site import built
from tests.lab.processes import ROOT

AXE = ROOT / "build" / "front" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN_AXE = """async ({tags, iframes}) => {
  const found = await axe.run(document, {
    runOnly: { type: "tag", values: tags },
    rules: { "target-size": { enabled: true } },
    iframes: iframes,
  });
  return found.violations.map((each) => ({
    rule: each.id,
    impact: each.impact,
    nodes: each.nodes.map((node) => `${node.target} ${node.failureSummary}`),
  }));
}"""


def script() -> str:
    """The judge's own code."""
    built()  # installs the lab's packages where they are not
    return AXE.read_text(encoding="utf-8")


def violations(page: Page, axe: str, *, iframes: bool = True) -> Any:
    """What the judge finds wrong with a page; without `iframes`, in the page's own document."""
    page.evaluate(axe)
    return page.evaluate(RUN_AXE, {"tags": RULES, "iframes": iframes})

"""Scripts of ours in a page: in a world of their own, where the page has replaced nothing.

The document is the page's; functions and globals are the browser's own (CDP,
Page.createIsolatedWorld). What comes back was still made of the page and may be anything.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from playwright.async_api import CDPSession
from playwright.async_api import Error as PlaywrightError

NAME = "healtharchive"


def script(name: str) -> str:
    """A script of this package."""
    return (resources.files(__package__) / "scripts" / name).read_text(encoding="utf-8")


async def frames(devtools: CDPSession) -> list[str]:
    """The ids of the page's frames, the top one first."""
    tree: dict[str, Any] = (await devtools.send("Page.getFrameTree"))["frameTree"]
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop(0)
        found.append(str(node["frame"]["id"]))
        waiting += node.get("childFrames", [])
    return found


async def enter(devtools: CDPSession, frame: str) -> int:
    """Our world in a frame's document of now; it is gone with the document."""
    asked = {"frameId": frame, "worldName": NAME}
    answer: dict[str, Any] = await devtools.send("Page.createIsolatedWorld", asked)
    return int(answer["executionContextId"])


async def call(devtools: CDPSession, world: int, function: str, *arguments: object) -> object:
    """What a function of JavaScript returns. playwright's Error when it throws, or when the
    document is gone."""
    answer: dict[str, Any] = await devtools.send(
        "Runtime.callFunctionOn",
        {
            "functionDeclaration": function,
            "executionContextId": world,
            "arguments": [{"value": each} for each in arguments],
            "returnByValue": True,
        },
    )
    if "exceptionDetails" in answer:
        thrown = answer["exceptionDetails"].get("exception", {}).get("description", "no reason")
        raise PlaywrightError(f"The script failed: {thrown}".partition("\n")[0])
    return answer.get("result", {}).get("value")

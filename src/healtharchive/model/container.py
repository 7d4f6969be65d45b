"""How a source is crawled in a container: its image, its limits, and when it has stalled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

DEFAULT_IMAGE = "ghcr.io/openzim/zimit"
SCOPE_TYPES = ("page", "page-spa", "prefix", "host", "domain", "any")
SIZE = re.compile(r"[1-9][0-9]*[bkmg]?", re.IGNORECASE)
# What the engine says to the crawler by itself; giving it twice would leave open which one counts.
OUR_ARGUMENTS = (
    "--seeds",
    "--seedFile",
    "--name",
    "--output",
    "--build",
    "--keep",
    "--workers",
    "--statsFilename",
    "--config",
    "--saveState",
    "--saveStateInterval",
    "--rolloverSize",
    "--scopeType",
    "--scopeIncludeRx",
    "--scopeExcludeRx",
    "--adminEmail",
    "--userAgentSuffix",
    "--pageLimit",
    "--depth",
    "--overwrite",
    "-w",
)
# What the engine says to docker or podman by itself, or what would take the ended crawler, its
# exit code and its log away before they were read.
OUR_RUN_ARGUMENTS = (
    "--name",
    "--detach",
    "-d",
    "--rm",
    "--restart",
    "--cpus",
    "--memory",
    "-m",
    "--shm-size",
    "--network",
    "--net",
    "--pull",
    "--log-driver",
    "--interactive",
    "-i",
    "--tty",
    "-t",
)


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """How a source's container is run, where the source's engine is `container`.

    `engine`: auto takes docker, or podman where docker does not answer. `arguments` go to the
    crawler, `run_arguments` to docker or podman, each word by itself. An empty `scope_type` gives
    the crawler the source's own scope rules. The numbers from `stall_seconds` on say when the
    crawl has stalled, and how often what is done about it; see docs/containers.md.
    """

    image: str = DEFAULT_IMAGE
    command: tuple[str, ...] = ("zimit",)
    engine: Literal["auto", "docker", "podman"] = "auto"
    runtime: str = ""
    ulimits: tuple[str, ...] = ()
    run_arguments: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    cpus: float = 1.5
    memory: str = "4g"
    shm_size: str = "1g"
    network: str = ""
    workers: int = 2
    scope_type: str = ""
    admin_email: str = ""
    rollover_bytes: int = 100_000_000
    save_state_seconds: int = 60
    stop_seconds: float = 90.0
    relax_permissions: bool = True
    relax_seconds: float = 60.0
    harvest_seconds: float = 5.0
    quiet_seconds: float = 120.0
    delete_adopted: bool = False
    stall_seconds: float = 1_800.0
    error_window_seconds: float = 600.0
    timeout_errors: int = 10
    http_errors: int = 10
    network_errors: int = 10
    error_share: float = 0.5
    fewer_workers: int = 3
    back_offs: int = 3
    restarts: int = 20
    restart_wait_seconds: float = 5.0
    forget_seconds: float = 21_600.0


def problems(options: ContainerOptions) -> list[str]:
    """What is wrong with a source's container options, a clause each; empty when nothing is."""
    return [
        *_of_words(options),
        *_of_numbers(options),
        *_of_arguments("arguments", options.arguments, OUR_ARGUMENTS),
        *_of_arguments("run_arguments", options.run_arguments, OUR_RUN_ARGUMENTS),
        *_of_places(options.run_arguments),
    ]


def _of_words(options: ContainerOptions) -> list[str]:
    found: list[str] = []
    for name in ("image", "runtime", "network", "admin_email", "scope_type"):
        word = getattr(options, name)
        if word.startswith("-") or any(character.isspace() for character in word):
            found.append(f"{name} {word!r} is not one word, or begins with a hyphen")
    if not options.image:
        found.append("image is empty")
    if not options.command or not all(options.command):
        found.append("command is empty: it is the crawler's program in the image")
    if options.scope_type and options.scope_type not in SCOPE_TYPES:
        found.append(f"scope_type {options.scope_type!r} is none of {', '.join(SCOPE_TYPES)}")
    found += [
        f"{name} {getattr(options, name)!r} is not a size such as 4g or 512m"
        for name in ("memory", "shm_size")
        if not SIZE.fullmatch(getattr(options, name))
    ]
    found += [
        f"ulimits: {limit!r} is not NAME=SOFT:HARD"
        for limit in options.ulimits
        if not re.fullmatch(r"[a-z]+=-?\d+(:-?\d+)?", limit)
    ]
    return found


def _of_numbers(options: ContainerOptions) -> list[str]:
    above_zero = (
        "cpus workers rollover_bytes save_state_seconds relax_seconds harvest_seconds"
        " quiet_seconds stall_seconds error_window_seconds timeout_errors http_errors"
        " network_errors"
    )
    not_negative = "stop_seconds fewer_workers back_offs restarts restart_wait_seconds"
    found = [f"{name} is not above 0" for name in above_zero.split() if getattr(options, name) <= 0]
    found += [f"{name} is below 0" for name in not_negative.split() if getattr(options, name) < 0]
    if not 0.0 < options.error_share <= 1.0:
        found.append("error_share is not a share above 0 and up to 1")
    return found


def _of_arguments(setting: str, words: tuple[str, ...], ours: tuple[str, ...]) -> list[str]:
    """Options that are set twice. A crawler takes shortened names too: --work is --workers."""
    found: list[str] = []
    if words and not words[0].startswith("-"):
        found.append(f"{setting} begins with {words[0]!r}, which is no option")
    seen: set[str] = set()
    for word in words:
        name = word.partition("=")[0]
        if not _is_option(name):
            continue
        clash = next((each for each in ours if _means(name, each)), None)
        if clash:
            found.append(f"{setting}: {name} is set by HealthArchive itself ({clash})")
        elif name in seen and setting == "arguments":
            found.append(f"{setting}: {name} is given twice")
        seen.add(name)
    return found


def _is_option(word: str) -> bool:
    return word.startswith("-") and not re.fullmatch(r"-\d+(\.\d+)?|--?", word)


def _means(given: str, ours: str) -> bool:
    if ours.startswith("--"):
        return given == ours or (len(given) > len("--ab") and ours.startswith(given))
    return given == ours or (not given.startswith("--") and given.startswith(ours))


def _of_places(words: tuple[str, ...]) -> list[str]:
    """The output directory and the labels by which a container is found again are ours."""
    found: list[str] = []
    for word in words:
        if re.search(r"(?:^|[:,=])/output(?:[:/,]|$)", word):
            found.append(f"run_arguments: {word!r} takes the place of the output directory")
        if "healtharchive." in word:
            found.append(f"run_arguments: {word!r} changes a label of HealthArchive")
    return found

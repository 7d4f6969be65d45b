"""The words of the command that starts a crawler: the container's, then the crawler's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from healtharchive.model.container import ContainerOptions
from healtharchive.model.orders import CrawlOrder
from healtharchive.model.source import ScopeRules

OUTPUT = "/output"  # where the crawler sees the directory that it works in
RELAX = ("chmod", "-R", "a+rX", OUTPUT)
STATS_NAME = "crawl.json"
SEEDS_NAME = "seeds.txt"
JOB_LABEL = "healtharchive.job"
ATTEMPT_LABEL = "healtharchive.attempt"
STATE_LABEL = "healtharchive.state"


def work_directory(order: CrawlOrder) -> Path:
    """Where the crawler works: always local, so that no dead mount can interrupt it."""
    return Path(order.state_dir or order.output_dir) / "container"


def container_name(order: CrawlOrder) -> str:
    """Named after the job and the attempt that started it."""
    return f"healtharchive-job{order.job_id}-a{order.fence}"


def labels(order: CrawlOrder) -> dict[str, str]:
    """By which a container is found again, and told from another archive's on this machine."""
    return {
        JOB_LABEL: str(order.job_id),
        ATTEMPT_LABEL: str(order.fence),
        STATE_LABEL: str(work_directory(order).parent.absolute()),
    }


def run_words(order: CrawlOrder, options: ContainerOptions, program: str) -> list[str]:
    """What follows `docker run` or `podman run`, up to the image."""
    words = ["--detach", "--pull", "never", "--name", container_name(order)]
    for name, value in labels(order).items():
        words += ["--label", f"{name}={value}"]
    words += ["--cpus", f"{options.cpus:g}", "--memory", options.memory]
    words += ["--shm-size", options.shm_size]
    if options.network:
        words += ["--network", options.network]
    for limit in options.ulimits:
        words += ["--ulimit", limit]
    if options.runtime and program == "docker":  # podman takes it before the command
        words += ["--runtime", options.runtime]
    words += ["--log-driver", "k8s-file" if program == "podman" else "json-file"]
    words += ["--volume", f"{work_directory(order).absolute()}:{OUTPUT}"]
    return [*words, *options.run_arguments, options.image]


def relax_words(order: CrawlOrder, options: ContainerOptions, program: str) -> list[str]:
    """What follows `run` to let everybody read the crawler's files when no container runs."""
    words = ["--rm", "--pull", "never", "--entrypoint", RELAX[0]]
    for limit in options.ulimits:
        words += ["--ulimit", limit]
    if options.runtime and program == "docker":
        words += ["--runtime", options.runtime]
    words += ["--volume", f"{work_directory(order).absolute()}:{OUTPUT}"]
    return [*words, options.image, *RELAX[1:]]


def crawler_words(
    order: CrawlOrder, options: ContainerOptions, workers: int, config: str | None
) -> list[str]:
    """The crawler's program and its options. `config` is the file it continues from."""
    source = order.source
    seeds = [seed.url for seed in source.seeds]
    words = list(options.command)
    if any("," in url for url in seeds):  # its list of seeds is parted by commas
        words += ["--seedFile", f"{OUTPUT}/{SEEDS_NAME}"]
    else:
        words += ["--seeds", ",".join(seeds)]
    words += ["--name", source.code, "--output", OUTPUT, "--keep"]
    words += ["--workers", str(workers), "--statsFilename", STATS_NAME]
    words += ["--saveState", "always", "--saveStateInterval", str(options.save_state_seconds)]
    words += ["--rolloverSize", str(options.rollover_bytes)]
    words += ["--userAgentSuffix", order.user_agent]
    words += ["--depth", str(source.limits.depth)]
    words += _scope_words(source.scope, options)
    if source.limits.pages is not None:
        words += ["--pageLimit", str(source.limits.pages)]
    if options.admin_email:
        words += ["--adminEmail", options.admin_email]
    if config is not None:
        words += ["--config", f"{OUTPUT}/{config}"]
    return [*words, *options.arguments]


def _scope_words(scope: ScopeRules, options: ContainerOptions) -> list[str]:
    words = ["--scopeType", options.scope_type or "custom"]
    if not options.scope_type:
        words += ["--scopeIncludeRx", include_pattern(scope)]
    if excluded := exclude_pattern(scope):
        words += ["--scopeExcludeRx", excluded]
    return words


def include_pattern(scope: ScopeRules) -> str:
    """The pages of a scope as one regular expression that JavaScript and Python read alike."""
    hosts = "|".join(_escaped(host) for host in scope.hosts)
    where = f"^(?=https?://(?:{hosts})(?::\\d+)?(?:[/?#]|$))"
    rules = [f"https?://[^/?#]+{_escaped(p)}{_border(p)}" for p in scope.include_prefixes]
    rules += _searched(scope.include)
    return where + (f"(?:{'|'.join(rules)})" if rules else "")


def exclude_pattern(scope: ScopeRules) -> str:
    """What no page may match; empty when the scope excludes nothing."""
    rules = list(scope.exclude)
    if scope.query == "none":
        rules.append(r"\?")
    return "|".join(f"(?:{rule})" for rule in rules)


def _searched(rules: Iterable[str]) -> list[str]:
    """Rules that are searched in the whole URL, as they stand at its beginning."""
    return [f"(?=(?:{rule})|.*(?:{rule}))" for rule in rules]


def _border(prefix: str) -> str:
    """A prefix ends on a segment's border, or before a file's ending (.html)."""
    return "" if prefix.endswith("/") else "(?:[/.?#]|$)"


def _escaped(text: str) -> str:
    # re.escape also escapes what JavaScript's unicode mode will not have escaped.
    return re.sub(r"[.*+?^${}()|\[\]\\/]", r"\\\g<0>", text)

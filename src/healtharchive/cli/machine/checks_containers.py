"""Checks of what runs containers: docker or podman, and what podman needs to run as our user."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from healtharchive.cli.machine.checks import Answer, Checked, Surroundings, fail, fine, warn
from healtharchive.cli.machine.units import CONTAINERS, CONTAINERS_SOCKET
from healtharchive.model.container import ContainerOptions

PACKAGES = "apt-get install podman uidmap slirp4netns"
SERVICE = f"unix://{CONTAINERS_SOCKET}"
RANGE = "200000-265535"


def container(around: Surroundings) -> Iterator[Checked]:
    """docker or podman, where a source needs one of them, and the images."""
    needed = {
        code: source.container
        for code, source in around.sources.items()
        if source.engine == "container"
    }
    installed = bool(around.user)  # as a service: who calls `doctor` is somebody else
    missing: list[Checked] = []
    if installed and any(each.engine != "docker" for each in needed.values()):
        missing = list(chain(_podman(around), _ids(around)))
        yield from missing
    for code, options in needed.items():
        if not installed:
            yield from _direct(around, code, options)
        elif options.engine == "docker":
            yield from chain(_docker_group(around, code), _direct(around, code, options))
        elif not missing:
            yield from _by_service(around, code, options)


def _direct(around: Surroundings, code: str, options: ContainerOptions) -> Iterator[Checked]:
    """As whoever asks may run containers."""
    wanted = ("docker", "podman") if options.engine == "auto" else (options.engine,)
    answers = {name: around.ask([name, "info", "--format", "json"]) for name in wanted}
    usable = next((name for name, said in answers.items() if said.well), None)
    if usable is None:
        sentence = f"Neither {' nor '.join(wanted)} answers, which the source {code} needs."
        yield fail("container", sentence, f"{wanted[-1]} info")
        return
    yield fine("container", f"{usable} answers, for the source {code}.")
    yield from _image(around, code, options, (usable,))


def _by_service(around: Surroundings, code: str, options: ContainerOptions) -> Iterator[Checked]:
    """As the worker has them: by the service that runs podman for it."""
    podman = ("podman", "--url", SERVICE)
    said = around.ask([*podman, "info", "--format", "{{.Host.OCIRuntime.Name}}"])
    if not said.well:
        sentence = f"{CONTAINERS} does not run podman, which {code} needs: {_last(said)}."
        cure = f"healtharchive install; systemctl restart {CONTAINERS}; journalctl -u {CONTAINERS}"
        yield fail("container", sentence, cure)
        return
    yield fine("container", f"{CONTAINERS} runs podman with {_last(said)}, for the source {code}.")
    yield from _image(around, code, options, podman)


def _image(
    around: Surroundings, code: str, options: ContainerOptions, program: tuple[str, ...]
) -> Iterator[Checked]:
    if not around.ask([*program, "image", "inspect", options.image]).well:
        cure = f"{' '.join(program)} pull {options.image}"
        yield warn("container", f"The image {options.image} of {code} is not here.", cure)


def _podman(around: Surroundings) -> Iterator[Checked]:
    """The programs that make containers without being root."""
    for program, why in (
        ("podman", "runs containers"),
        ("newuidmap", "gives a container its users"),
    ):
        if around.ask([program, "--version"]).status is None:
            yield fail("container", f"There is no {program}, which {why}.", PACKAGES)


def _ids(around: Surroundings) -> Iterator[Checked]:
    """The ranges of users and groups that containers of the archive's user may have."""
    for option, kind, file in (("", "users", "subuid"), ("-g", "groups", "subgid")):
        said = around.ask(["getsubids", *([option] if option else []), around.user])
        if said.status is not None and not said.well:
            sentence = f"{around.user} has no {kind} to give to a container (/etc/{file})."
            cure = f"usermod --add-sub{kind[0]}ids {RANGE} {around.user}"
            yield fail("container", sentence, cure)


def _docker_group(around: Surroundings, code: str) -> Iterator[Checked]:
    """docker's socket is open to root and to a group, which is as good as root."""
    if "docker" not in around.ask(["id", "-nG", around.user]).text.split():
        sentence = f"{around.user} may not use docker, which the source {code} wants."
        cure = f'Set engine = "podman", or give it root\'s power: usermod -aG docker {around.user}'
        yield fail("container", sentence, cure)


def _last(said: Answer) -> str:
    lines = said.text.splitlines()
    return lines[-1].rstrip(".") if lines else "it says nothing"

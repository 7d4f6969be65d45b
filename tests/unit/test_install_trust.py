"""What `install` does as root with files that the archive's user owns."""

from __future__ import annotations

from pathlib import Path

import pytest

from healtharchive.cli.install import _parts, check_owner
from healtharchive.cli.machine import layout
from healtharchive.cli.machine.layout import File
from healtharchive.model.errors import BadInput, SetupError
from healtharchive.settings import load
from healtharchive.storage.declared import targets_in


def test_a_mounter_is_not_installed_where_the_archives_user_could_change_what_root_runs(
    tmp_path: Path,
) -> None:
    code = tmp_path / "program/bin"
    code.mkdir(parents=True)
    check_owner([code], "nobody")
    code.parent.chmod(0o777)
    with pytest.raises(SetupError, match=r"/program, which user nobody may change"):
        check_owner([code], "nobody")
    code.parent.chmod(0o1777)  # others may add to it, and neither remove nor rename
    check_owner([code], "nobody")


def test_the_targets_are_those_of_the_very_text_that_root_installs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[[target]]\nname = "box"\nkind = "mount"\nroot = "/srv/box"\n'
    (tmp_path / "targets.toml").write_text(text)
    read = Path.read_text

    def read_and_swap(path: Path, *words: str, **options: str) -> str:
        said = read(path, *words, **options)
        if path.name == "targets.toml":
            path.write_text("root:secret")
        return said

    monkeypatch.setattr(Path, "read_text", read_and_swap)
    for check in ("check_owner", "check_homes"):  # where this Python is does not matter here
        monkeypatch.setattr(f"healtharchive.cli.install.{check}", lambda *_: None)
    settings = load({"HEALTHARCHIVE_DATA_DIR": str(tmp_path)}, env_file=Path("/nowhere"))
    made = _parts(settings, "healtharchive", None, "", remove=False)
    (mounts,) = (each for each in made if isinstance(each, File) and each.path == layout.MOUNTS)
    assert text in mounts.text


@pytest.mark.parametrize("more", ["\\nExecStartPre=+/tmp/mine", "\\u0007"])
def test_a_root_of_a_target_cannot_add_a_line_to_a_unit(more: str) -> None:
    text = f'[[target]]\nname = "disk"\nkind = "local"\nroot = "/mnt/disk{more}"\n'
    with pytest.raises(BadInput, match="has a character that cannot be printed"):
        targets_in(Path("targets.toml"), text)

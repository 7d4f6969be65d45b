"""`python -m healtharchive.steward.monitoring` makes the files anew that ship with the program."""

from __future__ import annotations

from healtharchive.steward.monitoring.files import SHIPPED, made_files

if __name__ == "__main__":
    SHIPPED.mkdir(exist_ok=True)
    for name, text in made_files().items():
        (SHIPPED / name).write_text(text, encoding="utf-8")

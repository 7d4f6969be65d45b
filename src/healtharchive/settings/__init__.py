"""The settings of this process: one typed, frozen object whose values know their origin."""

from healtharchive.settings.declared import Settings
from healtharchive.settings.loading import environment_of, load
from healtharchive.settings.opening import connect, open_database

__all__ = ["Settings", "connect", "environment_of", "load", "open_database"]

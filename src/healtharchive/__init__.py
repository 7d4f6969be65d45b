"""HealthArchive: a web archive that finishes its capture campaigns by itself."""

__version__ = "0.1.0"

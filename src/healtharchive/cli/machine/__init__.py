"""A machine that runs the archive under systemd: what is on it, planned first, then made."""

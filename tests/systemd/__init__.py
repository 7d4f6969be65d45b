"""Installed on a machine with a real systemd: what is killed, hangs or is stopped comes back."""

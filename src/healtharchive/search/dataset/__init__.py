"""Data sets: an archive's captures, texts and changes as tables to take away."""

"""The crawler of the test image: it runs in a container, and imports nothing of this repository."""

"""The container engine: a crawler in a container of its own, and what it captures."""

"""The lab's site of real front-end packages: its sources, what is made beside them, its truth."""

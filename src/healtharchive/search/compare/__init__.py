"""Two captures of a page: what one says that the other does not, and how much that matters."""

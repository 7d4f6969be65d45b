"""What a reader does, in a real browser against real servers: `make e2e`."""

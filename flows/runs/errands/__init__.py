"""Long work on runs that people asked for on a page: how it is begun, carried and shown."""

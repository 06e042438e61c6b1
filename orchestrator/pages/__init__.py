"""The pages that belong to no room: the shell around all of them, signing in, the first run, what went wrong."""

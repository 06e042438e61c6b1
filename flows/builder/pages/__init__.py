"""The pages of flows, a module each."""

"""Trying a draft: pins, the values that stand in for steps that are not run, and the dock of the builder."""

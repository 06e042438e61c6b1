"""The pages of what was spent."""

"""The pages of memories."""

"""The pages of knowledge bases."""

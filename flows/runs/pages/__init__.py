"""The pages of runs. Each view finds within what this person may see, asks one reader or verb, and renders."""

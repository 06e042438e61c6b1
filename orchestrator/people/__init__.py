"""People, teams, roles and keys: the pages of `/settings` that are about them, one's own page, and the API's."""

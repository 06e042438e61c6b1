"""The first page: what needs somebody, what broke, what it costs, what runs."""

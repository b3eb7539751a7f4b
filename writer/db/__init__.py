"""Tables and engine: the only door to Postgres."""

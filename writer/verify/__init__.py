"""Compares what Postgres, Redis and the live sidecars hold of a project, and names what differs."""

"""Backups of the database: made, checked and loaded again by Postgres's own programs."""

"""The catalogue: what is declared and mirrored, its versions, and whom a new one concerns."""

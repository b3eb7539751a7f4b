"""Why a user has a feature or not: each source with what became of it, what is in the way, and where copies are."""

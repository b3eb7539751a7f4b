"""Taking over a live account: prepared for this service, examined, and what was bought before brought in."""

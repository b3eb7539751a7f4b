"""The sweep: events that Stripe made and nobody delivered are found on its event list. Polling is the same, often."""

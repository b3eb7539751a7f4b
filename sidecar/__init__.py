"""The answer on localhost: an in-memory copy of the entitlements, beside every app."""

"""The profile `sandbox` of docker-compose.yml: the stack's parts as containers, filled and shown from here."""

"""How the writer's routes are declared: once, for whoever is let in, what is read, and the OpenAPI document."""

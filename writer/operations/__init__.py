"""What operators do: projects, keys, grants, catalogue views, audit."""

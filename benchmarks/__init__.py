"""Measurements of the running product: real processes, real HTTP, side by side in one run. Nothing here is a test."""

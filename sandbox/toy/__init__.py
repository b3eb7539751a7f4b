"""The toy app: a locked feature, a way to pay for it, and a window on what both sidecars answer meanwhile."""

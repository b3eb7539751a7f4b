"""What operators see of a running writer: figures for Prometheus, and how much it logs."""

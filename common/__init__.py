"""What writer and sidecar must agree on: document, wire, keys, clock, settings reader, logs."""

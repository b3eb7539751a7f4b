"""The last station: leases, publishing, heartbeats, and making Redis whole again."""

"""Reconcile: what is held is compared with what Stripe holds, and drift is repaired by the way that events take.

A run goes through stages, page by page. What it has done is in its row, so that whoever takes it over goes on.
"""

"""How Stripe is spoken to: requests that are paced, repeated where that is safe, and errors in our own words."""

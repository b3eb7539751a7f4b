"""The admin API: what an operator may do over HTTP, with the admin key."""

"""How each kind of object is compared: both sides as facts that are read by the same rules."""

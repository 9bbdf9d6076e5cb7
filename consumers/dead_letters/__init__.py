"""Dead letters: their format, and writing, reading and replaying them."""

"""A sale played against the rules at full speed: what would have paged, when, and whether rightly."""

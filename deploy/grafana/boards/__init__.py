"""One dashboard each."""

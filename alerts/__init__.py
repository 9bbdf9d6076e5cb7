"""What pages people. May import `streams` and `consumers`, never the reverse."""

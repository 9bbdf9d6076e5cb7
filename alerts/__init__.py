"""Alert rules, their evaluation, and notifications. May import `streams` and `consumers`, never the reverse."""

"""What pages people: rules, detectors, alert state and notifiers. May import `streams` and `consumers`, never the reverse."""

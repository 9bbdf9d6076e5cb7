"""What Redis holds of alerts, and how it is written: by one leader at a time, each evaluation in one call."""

"""Detection: rules and inputs to breaches, with each detector's memory."""

"""What the rules are evaluated on, taken from the view of what workers have counted."""

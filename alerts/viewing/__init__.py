"""The inputs of rules, read from the view of the workers' counts."""

"""A study of the default rules on shops that share no code with `streams/simulate`."""

"""All rules at one as-of: what is asked for, what is remembered, what is found."""

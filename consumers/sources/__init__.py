"""Sources: topics in a shop's own format, mapped to events of the contract."""

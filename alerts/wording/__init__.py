"""The words and numbers of findings, the same in every message, command and answer."""

"""The alert state machine and its notification decisions. No I/O."""

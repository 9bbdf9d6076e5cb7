"""What of all that is wrong is worth a page: causes before effects, the whole before its parts, the dearest first."""

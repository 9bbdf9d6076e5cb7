"""The read side: follows what workers write and keeps it ready to be asked about. Never writes."""

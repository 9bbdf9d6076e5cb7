"""The read side: follows the deltas of workers, keeps panes in memory and answers queries. It never writes to Redis."""

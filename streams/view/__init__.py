"""The read side: follows what workers write, keeps it in memory and answers queries. It never writes to Redis."""

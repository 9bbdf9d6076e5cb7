"""Everything on one machine, supervised: broker and Redis where none are given, topics, workers, servers."""

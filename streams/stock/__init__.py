"""Stock: the journal of what moved it, what is available at a moment, and what follows from that."""

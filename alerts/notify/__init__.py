"""How people are told: what a message says, when it goes out, and one file for each way to send it."""

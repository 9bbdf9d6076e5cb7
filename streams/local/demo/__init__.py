"""The demo: a simulated sale, counted live by all that a real one would be counted by, and the proof at its end."""

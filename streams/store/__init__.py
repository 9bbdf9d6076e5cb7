"""Panes in Redis: written under a fence, with the position of their partition, and read by any number of readers."""

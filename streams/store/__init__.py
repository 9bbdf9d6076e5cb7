"""Panes in Redis: written under a fence together with their partition's position, read by any number of readers."""

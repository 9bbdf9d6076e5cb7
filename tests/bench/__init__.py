"""Benchmarks of speed and memory: `make bench`. Every comparison is one run, on one broker and one Redis."""

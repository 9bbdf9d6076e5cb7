"""Speed and memory, measured: `make bench`. Every comparison is made in one run, on one broker and one Redis."""

"""How it is decided that something is wrong: pure, over arrays of series, each with its source."""

"""The statistics of detectors: pure, over arrays of series, each with its source."""

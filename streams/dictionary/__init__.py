"""The model: fields, dimensions, measures and metrics, the built-in ones and a shop's own."""

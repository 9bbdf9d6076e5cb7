"""Folding: columns of events to a `PaneDelta`, its algebra and its bytes."""

"""Stock: the stock event log, available stock at a time, and forecasts and orders derived from it."""

"""What is computed: panes and windows, KPIs, the Redis store, the read side, HTTP, metrics and the command line."""

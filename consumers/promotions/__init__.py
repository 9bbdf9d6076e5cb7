"""Promotion definitions: reads files, validates, compares with the topic `promotions` and writes differences."""

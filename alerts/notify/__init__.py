"""Notifications: message text, grouping, and one module for each channel."""

"""Delivery of notifications: the dispatcher and its retries."""

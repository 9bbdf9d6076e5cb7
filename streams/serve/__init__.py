"""The read side over HTTP: the API, Prometheus metrics, health and the page. It reads Redis and never writes.

A new group of answers is a module with a `router`, registered in `app.py`.
"""

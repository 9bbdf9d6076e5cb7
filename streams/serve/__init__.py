"""The read side over HTTP: the API of `http.md`, Prometheus metrics, health. It reads Redis and writes nothing.

One topic, one file: a new group of answers is a module with a `router`, taken up in `app.py`.
"""

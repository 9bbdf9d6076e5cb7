"""The read side over HTTP: the API, Prometheus metrics, health and the page.

To Redis it writes silences and acknowledgements only. A new group of answers is a module with a `router`, registered
in `app.py`.
"""

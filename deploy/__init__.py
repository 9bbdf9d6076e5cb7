"""Deployment. Its only code is what writes Grafana's dashboards."""

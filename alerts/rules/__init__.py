"""Rules: models, YAML files, the default rules, and reloading."""

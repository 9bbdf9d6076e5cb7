"""What is watched, as YAML: models, the file with the line of every fault, the default pack, reloading."""

"""Your own volumes and masks, described in YAML."""

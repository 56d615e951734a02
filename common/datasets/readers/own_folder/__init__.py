"""Your own images and masks, described in YAML."""

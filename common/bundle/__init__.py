"""Complete and published forms of a bundle, and the settings of a bundle run."""

"""The forms of a bundle, and the command line of a bundle run."""

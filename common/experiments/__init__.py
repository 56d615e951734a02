"""Experiments: a bundle's grid of trainings on Ray, tracked in MLflow, and the report of their results."""

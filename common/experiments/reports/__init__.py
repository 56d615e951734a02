"""Reports of a grid of trainings: figures, tables and claims, read from MLflow."""

"""The papers' claims, compared with the results."""

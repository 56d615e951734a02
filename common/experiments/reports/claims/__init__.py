"""Claims of the papers, compared with the results."""

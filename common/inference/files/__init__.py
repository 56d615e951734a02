"""What a run reads, and where its results go."""

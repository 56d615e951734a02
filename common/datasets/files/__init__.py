"""Any medical file as pixels, spacing and orientation."""

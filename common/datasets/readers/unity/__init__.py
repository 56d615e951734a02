"""Unity Imaging: labels as curves, tables of views and pixel sizes."""

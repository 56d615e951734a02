"""Unity Imaging: labels drawn as curves, and tables of views and pixel sizes."""

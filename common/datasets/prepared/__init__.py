"""Prepared folders: layout, preparation, label sets, resident training sets, pseudo-labels."""

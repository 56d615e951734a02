"""Volumes in a prepared folder: NIfTI of one orientation and one spacing, that can be mapped into memory."""

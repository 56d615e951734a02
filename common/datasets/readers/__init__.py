"""Readers, one file per public dataset."""

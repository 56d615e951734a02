"""Readers, one public dataset a file."""

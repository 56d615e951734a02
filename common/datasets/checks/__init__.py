"""Checks of prepared folders: leaks between folds, damaged files, implausible annotations."""

"""Metrics on what the annotation tells."""

from .dice import DatasetDice, annotated_dice, summarise

__all__ = ["DatasetDice", "annotated_dice", "summarise"]

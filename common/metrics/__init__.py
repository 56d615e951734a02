"""Metrics for partially labelled images."""

from .dice import DatasetDice, annotated_dice, summarise

__all__ = ["DatasetDice", "annotated_dice", "summarise"]

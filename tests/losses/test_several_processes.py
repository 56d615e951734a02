"""Processes that share a batch have the gradient of one process, however images and annotations are distributed."""

from pathlib import Path

import pytest
import torch
from loss_cases import CASES, build
from torch import distributed
from two_processes import in_two_processes

from common.label_set_map import drop_classes
from common.label_sets import LabelSets

CLASSES = ["background", "one", "two", "three"]
SETS = LabelSets(CLASSES, {"full": [[name] for name in CLASSES], "one": [["background", "two", "three"], ["one"]]})
SHARES = ([0], [1, 2, 3, 4])  # of the images


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Five images: fully annotated, partly, an ignored half, and two without annotation."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(5, 4, 6, 6, generator=generator, dtype=torch.float64)
    label = torch.randint(4, (5, 1, 6, 6), generator=generator)
    dataset = torch.tensor([0, 1, 0, 0, 0])
    label = torch.where(dataset.view(-1, 1, 1, 1) == 1, label % 2, label)
    target = SETS.encode_batch(label, dataset)
    target[2, :, :3] = 0
    target[3:] = drop_classes(target[3:], torch.tensor([[False, True, True, True]] * 2))
    return logits, target


def value_and_gradient(case: str, images: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    logits, target = (part[images] for part in batch())
    logits.requires_grad_()
    value = build(case)(logits, target)
    return value.detach(), torch.autograd.grad(value, logits)[0]


def test_the_mean_over_processes_is_the_mean_of_the_whole_batch(tmp_path: Path):
    parts = in_two_processes(lambda rank: {case: value_and_gradient(case, SHARES[rank]) for case in CASES}, tmp_path)
    assert len(CASES) >= 13
    for case in CASES:
        (first, of_first), (second, of_second) = (part[case] for part in parts)
        value, gradient = value_and_gradient(case, [0, 1, 2, 3, 4])
        torch.testing.assert_close((first + second) / 2, value)
        torch.testing.assert_close(torch.cat([of_first, of_second]) / 2, gradient)


def test_losses_without_a_gradient_or_means_exchange_nothing(tmp_path: Path):
    """One process alone evaluates; it would wait for the other for ever if it asked it for anything."""

    def alone(rank: int) -> int:
        if rank == 0:
            logits, target = batch()
            for case in CASES:
                build(case)(logits, target)
                build(case, "sum")(logits.requires_grad_(), target)
                logits = logits.detach()
        return rank

    assert in_two_processes(alone, tmp_path) == [0, 1]


def test_one_process_never_asks_for_others(monkeypatch: pytest.MonkeyPatch):
    exchanged: list[object] = []
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor, *_, **__: exchanged.append(tensor))
    for case in CASES:
        value_and_gradient(case, [0, 1])
    assert len(CASES) > 5
    assert exchanged == []

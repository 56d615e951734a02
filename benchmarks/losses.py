"""Time forward and backward of each loss relative to the ordinary cross entropy.

    python -m benchmarks.losses                    # eager, (8,4,256,256) and (2,8,96,96,96), a minute
    python -m benchmarks.losses --compile          # `torch.compile` of each loss as well
    python -m benchmarks.losses --threads 2

All losses take turns within each repetition, so a busy machine slows all of them equally. The table holds the median
and its ratio to `torch.nn.functional.cross_entropy`, which needs complete labels.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import monai.losses
import torch
from torch.nn import functional

from common.label_sets import LabelSets
from common.losses import (
    AdaptiveBCELoss,
    AdaptiveCrossEntropyLoss,
    CategoricalCrossEntropyLoss,
    ExclusionLoss,
    LeafDiceLoss,
    MarginalDiceCELoss,
    MarginalDiceLoss,
    MarginalLoss,
    SumLoss,
)

__all__ = ["measure", "report"]

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
REFERENCE = "cross_entropy"
SHAPES = [(8, 4, 256, 256), (2, 8, 96, 96, 96)]


def losses() -> dict[str, tuple[Loss, str]]:
    """Return the losses by name, each with the kind of target it takes: "label" or "sets"."""
    return {
        REFERENCE: (lambda input, target: functional.cross_entropy(input, target[:, 0]), "label"),
        "MONAI DiceCELoss": (monai.losses.DiceCELoss(softmax=True, to_onehot_y=True), "label"),
        "CategoricalCrossEntropyLoss": (CategoricalCrossEntropyLoss(), "sets"),
        "MarginalLoss": (MarginalLoss(), "sets"),
        "AdaptiveCrossEntropyLoss": (AdaptiveCrossEntropyLoss(), "sets"),
        "AdaptiveBCELoss": (AdaptiveBCELoss(), "sets"),
        "MarginalDiceLoss": (MarginalDiceLoss(), "sets"),
        "LeafDiceLoss": (LeafDiceLoss(), "sets"),
        "ExclusionLoss": (ExclusionLoss(), "sets"),
        "MarginalDiceCELoss": (MarginalDiceCELoss(), "sets"),
        "MarginalLoss + MarginalDiceLoss": (SumLoss([MarginalLoss(), MarginalDiceLoss()], [1.0, 1.0]), "sets"),
    }


def data(shape: Sequence[int]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Make logits, complete labels, and partial labels in which half of the images annotate half of the structures."""
    batch, num_classes, *spatial = shape
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(*shape, generator=generator).requires_grad_()
    label = torch.randint(0, num_classes, (batch, 1, *spatial), generator=generator)
    classes = ["background", *(f"class_{c}" for c in range(1, num_classes))]
    sets = LabelSets(classes, {"full": [[name] for name in classes], "partial": [[name] for name in classes]})
    sets = sets.withhold({"partial": classes[1 + num_classes // 2 :]})
    return logits, {"label": label, "sets": sets.encode_batch(label, torch.arange(batch) % 2)}


def measure(steps: dict[str, Callable[[], None]], repetitions: int) -> dict[str, float]:
    """Time steps in turns and return the median of each in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(2):  # warm-up: compilation, allocation
        for step in steps.values():
            step()
    for _ in range(repetitions):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def report(shape: Sequence[int], repetitions: int, compiled: bool) -> str:
    """Measure every loss on one shape and draw the table."""
    logits, targets = data(shape)

    def step(loss: Loss, kind: str) -> Callable[[], None]:
        def forward_and_backward() -> None:
            logits.grad = None
            loss(logits, targets[kind]).backward()

        return forward_and_backward

    steps = {name: step(loss, kind) for name, (loss, kind) in losses().items()}
    if compiled:
        torch._dynamo.reset()
        steps |= {f"{name}, compiled": step(torch.compile(loss), kind) for name, (loss, kind) in losses().items()}
    medians = measure(steps, repetitions)
    lines = [f"{tuple(shape)}, {torch.get_num_threads()} thread(s), median of {repetitions}"]
    lines += [f"  {name:44} {ms:8.1f} ms  {ms / medians[REFERENCE]:5.2f} x" for name, ms in medians.items()]
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true", help="measure the compiled losses as well")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--repetitions", type=int, default=9, help="repetitions of each loss (default: 9)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for shape in SHAPES:
        print(report(shape, arguments.repetitions, arguments.compile), flush=True)


if __name__ == "__main__":
    main()

"""A training of seconds with the handlers of the bundles, for the tests of engines and tracking."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Accuracy
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, ValidationHandler
from monai.transforms import Randomizable
from torch.nn import BatchNorm2d, Conv2d, Dropout, Module, Sequential
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from common.engines import BestAndLast, History, Resume, SeedEachEpoch

CPU = torch.device("cpu")
RECORD = {"activation": "softmax", "classes": ["background", "lv"], "image_size": 8, "network": "tiny", "loss": "ce"}
SETTINGS = {"loss": "cross_entropy", "learning_rate": 0.1, "label_sets": {"a": [["background"], ["lv"]]}}


class Squares(Dataset):
    """Noisy images of bright squares."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(count)
        self.label = (
            torch.randint(2, (count, 1, 2, 2), generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
        )
        self.image = self.label + torch.randn(count, 1, 8, 8, generator=generator)

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"image": self.image[index], "label": self.label[index]}


class RandBrightness(Randomizable):
    """Collate items and add one random number to each image."""

    def __call__(self, items: Sequence[Mapping[Hashable, torch.Tensor]]) -> dict[Hashable, torch.Tensor]:
        batch = torch.utils.data.default_collate(list(items))
        draws = torch.from_numpy(self.R.uniform(-0.5, 0.5, (len(items), 1, 1, 1))).float()
        return {**batch, "image": batch["image"] + draws}


class Tiny:
    """All parts of a training, under the names used in the bundles."""

    def __init__(
        self,
        folder: Path,
        epochs: int = 2,
        resume: bool = False,
        seed: int = 0,
        val_interval: int = 1,
        settings: Mapping[str, Any] = SETTINGS,
        handlers: Callable[["Tiny"], Sequence[Any]] = lambda _: (),
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda pred, label: cross_entropy(
            pred, label[:, 0]
        ),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        self.network = Sequential(Conv2d(1, 4, 3, padding=1), BatchNorm2d(4), Dropout(0.3), Conv2d(4, 2, 1))
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9)
        self.lr_scheduler = torch.optim.lr_scheduler.PolynomialLR(self.optimizer, total_iters=100, power=0.9)
        self.objects = {
            "network": self.network,
            "optimizer": self.optimizer,
            "lr_scheduler": self.lr_scheduler,
            "loss": loss,
        }
        transform, images = RandBrightness(), Squares(10)
        self.evaluator = SupervisedEvaluator(
            device=CPU,
            val_data_loader=DataLoader(Squares(6), batch_size=4),
            network=self.network,
            key_val_metric={"accuracy": Accuracy(lambda output: (output["pred"], output["label"][:, 0]))},
            decollate=False,
        )
        self.history = History(folder, self.evaluator, self.optimizer)
        common = {"folder": folder, "objects": self.objects, "evaluator": self.evaluator, "settings": settings}
        self.trainer = SupervisedTrainer(
            device=CPU,
            max_epochs=epochs,
            train_data_loader=DataLoader(
                images,
                batch_size=4,
                sampler=DistributedSampler(images, num_replicas=1, rank=0, seed=seed),
                drop_last=True,
                collate_fn=transform,
            ),
            network=self.network,
            optimizer=self.optimizer,
            loss_function=loss,
            decollate=False,
            train_handlers=[
                Resume(**common, resume=resume),
                SeedEachEpoch(seed, [transform]),
                LrScheduleHandler(self.lr_scheduler, epoch_level=False, print_lr=False),
                ValidationHandler(interval=val_interval, validator=self.evaluator, epoch_level=True),
                self.history,
                *handlers(self),
                BestAndLast(**common, record=RECORD),
            ],
        )

    def run(self) -> "Tiny":
        """Train."""
        self.trainer.run()
        return self


def stop_at(epoch: int, error: BaseException) -> Callable[[Tiny], Sequence[Any]]:
    """Return a handler that ends the training in the middle of an epoch."""

    class Stop:
        def attach(self, engine: Engine) -> None:
            engine.add_event_handler(Events.ITERATION_STARTED, self)

        def __call__(self, engine: Engine) -> None:
            if engine.state.epoch == epoch and engine.state.iteration % engine.state.epoch_length == 0:
                raise error

    return lambda _: [Stop()]


def check_resumed(
    folder: Path, handlers: Callable[..., Callable[[Tiny], list[Any]]], second: Callable[[Tiny], Module]
) -> Tiny:
    """Compare a killed and resumed training of two networks with an uninterrupted one, to the bit.

    Args:
        folder: for both trainings, `whole` and `killed`.
        handlers: return those of a training, with those of further functions such as `stop_at`.
        second: returns the network beside that of the training.

    Returns:
        The uninterrupted training.
    """
    whole = Tiny(folder / "whole", epochs=4, handlers=handlers()).run()
    with pytest.raises(RuntimeError, match="killed"):
        Tiny(folder / "killed", epochs=4, handlers=handlers(stop_at(3, RuntimeError("killed")))).run()
    resumed = Tiny(folder / "killed", epochs=4, seed=0, resume=True, handlers=handlers())
    torch.manual_seed(99)
    for one in (resumed.network, second(resumed)):
        for value in one.parameters():
            value.data.fill_(torch.nan)
    resumed.run()
    for name in ("last.pt", "model.pt"):
        first, other = (torch.load(folder / run / name, weights_only=True) for run in ("whole", "killed"))
        assert first.pop("settings", None) == other.pop("settings", None)
        torch.testing.assert_close(first, other, rtol=0, atol=0)
    return whole

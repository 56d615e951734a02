"""Two networks learn from the annotation and from each other: definition, what is left alone, resumes, processes."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents, SupervisedTrainer
from monai.inferers import SimpleInferer
from numpy.typing import NDArray
from tiny_training import Tiny, check_resumed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from two_processes import in_two_processes

from common.engines import inferer_for
from common.engines.semi_supervised import CoTraining, gaussian_ramp
from common.label_sets import LabelSets
from common.losses import AdaptiveBCELoss, CategoricalCrossEntropyLoss, MarginalDiceCELoss, MarginalLoss
from common.transforms.pseudo_labels import RandShiftedCropd

CLASSES = ["background", "lv", "la"]
LABELS = LabelSets(
    CLASSES,
    {"clinic": {0: "background", 1: "lv"}, "none": {0: CLASSES}, "full": dict(enumerate(CLASSES))},
)
STEPS, SIDE, SHIFT = 4, 8, 2


def network(seed: int, width: int = 6) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3, 3, padding=1))


def batches(dataset: str, images: int = 3) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    values = list(LABELS.label_sets[dataset])
    around = SIDE + 2 * SHIFT
    found = []
    for step in range(STEPS):
        label = torch.tensor(values)[torch.randint(len(values), (images, 1, around, around), generator=generator)]
        image = torch.randn(label.shape, generator=generator) + (label == 1)
        index = torch.full((images,), list(LABELS.label_sets).index(dataset))
        crops = RandShiftedCropd([SIDE, SIDE], multiple=SHIFT)
        crops.set_key(step)
        found.append(crops({"image": image, "label": LABELS.encode_batch(label, index), "index": torch.arange(images)}))
    return found  # type: ignore[return-value]


def trainer(
    net: nn.Module, handlers: Sequence[Any], data: Sequence[Any], loss: nn.Module, **settings: Any
) -> SupervisedTrainer:
    parameters = [*net.parameters(), *(own for each in handlers for own in partner_of(each))]
    return SupervisedTrainer(
        **{"inferer": SimpleInferer(), "max_epochs": 1, **settings},
        loss_function=loss,
        device=torch.device("cpu"),
        train_data_loader=data,
        network=net,
        optimizer=torch.optim.SGD(parameters, lr=0.1),
        decollate=False,
        train_handlers=handlers,
    )


def partner_of(handler: Any) -> list[nn.Parameter]:
    return list(handler.partner.parameters()) if getattr(handler, "partner", None) is not None else []


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


class Watch:
    """Note the loss of each step."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(
            Events.ITERATION_COMPLETED, lambda engine: self.seen.append(engine.state.output["loss"].detach())
        )


def said(
    fixed: NDArray[Any], shifted: NDArray[Any] | None, admitted: NDArray[Any], shift: Sequence[int]
) -> NDArray[Any]:
    """Return what a network says of each open pixel, -1 of others: where the shifted crop shows it, as seen there."""
    found = np.full(admitted.shape, -1)
    for y, x in np.ndindex(*admitted.shape):
        candidates = [c for c in range(len(CLASSES)) if admitted[y, x] >> c & 1]
        if len(candidates) < 2:
            continue
        there = y - shift[0], x - shift[1]
        inside = shifted is not None and all(0 <= place < SIDE for place in there)
        logits = shifted[:, there[0], there[1]] if inside else fixed[:, y, x]
        found[y, x] = max(candidates, key=lambda c: (logits[c], -c))
    return found


def cross_entropy(logits: NDArray[Any], classes: NDArray[Any]) -> float:
    """Return the mean over all pixels, of which those of class -1 cost nothing."""
    total = 0.0
    for y, x in np.ndindex(*classes.shape):
        if classes[y, x] >= 0:
            total += np.log(np.exp(logits[:, y, x]).sum()) - logits[classes[y, x], y, x]
    return total / classes.size


@pytest.mark.parametrize("dataset", ["none", "clinic"])
@pytest.mark.parametrize("with_cut", [True, False])
@pytest.mark.parametrize("kinds", [["fixed"], ["dynamic"], ["fixed", "dynamic"], []])
def test_the_loss_is_its_definition_pixel_by_pixel(dataset: str, with_cut: bool, kinds: list[str]):
    student, partner = network(0), network(1, width=4)
    outputs: dict[str, list[Tensor]] = {"student": [], "partner": []}
    for name, one in (("student", student), ("partner", partner)):
        one.register_forward_hook(lambda _, __, out, name=name: outputs[name].append(out.detach()))
    handler, watch, data = CoTraining(student, partner, MarginalLoss(), 0.7, kinds, with_cut), Watch(), batches(dataset)
    trainer(student, [handler, watch], data, MarginalLoss()).run()
    for step, batch in enumerate(data):
        forward = 1 + ("dynamic" in kinds)
        own = outputs["student"][step * forward : (step + 1) * forward]
        forward += with_cut and bool(kinds)
        others = outputs["partner"][step * forward : (step + 1) * forward]
        expected = float(MarginalLoss()(own[0], batch["label"]) + MarginalLoss()(others[0], batch["label"]))
        admitted = batch["label"][:, 0].numpy()
        images = range(len(admitted))
        learned = 0.0
        for kind in kinds:
            of_student, of_partner = (
                [
                    said(
                        seen[0][image].numpy(),
                        seen[1][image].numpy() if kind == "dynamic" else None,
                        admitted[image],
                        batch["shift"][image].tolist(),
                    )
                    for image in images
                ]
                for seen in (own, others)
            )
            learns = others[-1] if with_cut else others[0]
            for image in images:
                learned += cross_entropy(own[0][image].numpy(), of_partner[image]) / len(admitted)
                taught = of_student[image]
                if with_cut:
                    taught = np.where(batch["cut"][image].numpy(), taught, of_student[image - 1])
                learned += cross_entropy(learns[image].numpy(), taught) / len(admitted)
        expected += 0.7 * gaussian_ramp(step / STEPS) * learned
        assert float(watch.seen[step]) == pytest.approx(expected, abs=1e-5)


def test_the_partner_sees_images_cut_into_each_other():
    student, partner, seen = network(0), network(1), list[Tensor]()
    partner.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    handler, data = CoTraining(student, partner, MarginalLoss(), 0.7, ["fixed"]), batches("none")
    trainer(student, [handler], data, MarginalLoss()).run()
    for step, batch in enumerate(data):
        whole, mixed = seen[2 * step : 2 * step + 2]
        assert torch.equal(whole, batch["image"])
        for image in range(len(mixed)):
            outside = batch["cut"][image]
            assert torch.equal(mixed[image, 0][outside], batch["image"][image, 0][outside])
            assert torch.equal(mixed[image, 0][~outside], batch["image"][image - 1, 0][~outside])


@pytest.mark.parametrize(
    "loss", [MarginalLoss(), MarginalDiceCELoss(), CategoricalCrossEntropyLoss(), AdaptiveBCELoss()]
)
def test_what_is_annotated_is_learned_from_the_annotation_alone(loss: nn.Module):
    """Fully annotated images: both networks are what they are when each is trained alone."""
    sigmoid = getattr(loss, "activation", "") == "sigmoid"
    inferer = inferer_for("sigmoid" if sigmoid else "softmax")
    together, alone = [network(seed) for seed in (0, 1)], [network(seed) for seed in (0, 1)]
    handler = CoTraining(together[0], together[1], loss, weight=10.0)
    trainer(together[0], [handler], batches("full"), loss, inferer=inferer).run()
    for one, other in zip(together, alone, strict=True):
        trainer(other, [], batches("full"), loss, inferer=inferer).run()
        for name, value in one.state_dict().items():
            torch.testing.assert_close(value, other.state_dict()[name], msg=name)
            assert not torch.equal(value, network(0).state_dict()[name])


def test_without_a_partner_nothing_is_computed():
    plain, net = network(0), network(0)
    handler = CoTraining(net, None, MarginalLoss())
    assert handler.predictor is net
    assert handler.state_dict() == {}
    for one, handlers in ((plain, []), (net, [handler])):
        trainer(one, handlers, batches("clinic"), MarginalLoss()).run()
    assert all(map(torch.equal, plain.state_dict().values(), net.state_dict().values()))


def test_it_works_on_volumes():
    def volume(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.InstanceNorm3d(4), nn.Conv3d(4, 3, 1))

    crops = RandShiftedCropd([8, 8, 8], multiple=2)
    label = LABELS.encode_batch(torch.zeros(2, 1, 12, 12, 12, dtype=torch.uint8), torch.tensor([1, 1]))
    torch.manual_seed(0)
    batch = crops({"image": torch.randn(2, 1, 12, 12, 12), "label": label, "index": torch.arange(2)})
    student, partner, watch = volume(0), volume(1), Watch()
    trainer(
        student, [CoTraining(student, partner, MarginalDiceCELoss(), 1.0), watch], [batch] * 3, MarginalDiceCELoss()
    ).run()
    assert 0 < watch.seen[0] < watch.seen[-1], "nothing but pseudo-labels, whose weight grows"


class EncodeLabels:
    """Turn the labels of the tiny training into label-set maps with an open class, and crop."""

    def __init__(self) -> None:
        self.crops = RandShiftedCropd([8, 8], multiple=2)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        label = engine.state.output["label"]
        sets = LabelSets(["background", "lv"], {"a": {0: ["background", "lv"], 1: "lv"}})
        own = sets.encode_batch(label, torch.zeros(len(label), dtype=torch.int64))
        self.crops.set_key(engine.state.iteration)
        data = {"image": engine.state.output["image"], "label": own, "index": torch.arange(len(label))}
        engine.state.batch = {**engine.state.batch, **self.crops(data)}
        engine.state.output["label"] = own


def with_partner(predict_with: str, *others: Callable[[Tiny], Any]) -> Callable[[Tiny], list[Any]]:
    """Return the handlers of a tiny training with a partner; what predicts is kept and validated as by the bundles."""

    def handlers(tiny: Tiny) -> list[Any]:
        partner = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout(0.3), nn.Conv2d(3, 2, 1))
        tiny.optimizer.add_param_group({"params": [*partner.parameters()]})
        both = CoTraining(tiny.network, partner, MarginalLoss(), 1.0, predict_with=predict_with)
        tiny.objects |= {"network": both.predictor, "co_training": both}
        tiny.evaluator.network = both.predictor
        return [EncodeLabels(), both, *(handler for other in others for handler in other(tiny))]

    return handlers


@pytest.mark.parametrize("predict_with", ["student", "partner", "both"])
def test_a_resumed_training_is_the_uninterrupted_one_to_the_bit(tmp_path: Path, predict_with: str):
    whole = check_resumed(
        tmp_path, partial(with_partner, predict_with), lambda tiny: tiny.objects["co_training"].partner
    )
    last = torch.load(tmp_path / "whole" / "last.pt", weights_only=True)
    names = {"student": (4, 8), "partner": (3, 8), "both": (4, 16)}[predict_with]
    weights = [value for name, value in last["network"].items() if name.endswith("0.weight")]
    assert len(weights[0]) == names[0]
    assert all(
        torch.equal(value, whole.objects["network"].state_dict()[name]) for name, value in last["network"].items()
    )


def test_batch_norm_counts_what_a_network_learns_from_and_no_shifted_crops(tmp_path: Path):
    tiny = Tiny(tmp_path, epochs=1, handlers=with_partner("student")).run()
    steps = tiny.trainer.state.iteration
    student, partner = (
        next(m for m in one if isinstance(m, nn.BatchNorm2d))
        for one in (tiny.network, tiny.objects["co_training"].partner)
    )
    assert student.num_batches_tracked == steps
    assert partner.num_batches_tracked == 2 * steps  # images as they are, and cut into each other


def test_both_networks_are_equal_in_all_processes_and_those_of_one(tmp_path: Path):
    def train(rank: int) -> dict[str, Tensor]:
        student, partner = network(2 * rank), network(1 + 2 * rank)  # process 0 gives its weights to the others
        handler = CoTraining(student, partner, MarginalLoss(), 1.0, cut=False)
        data = [
            {name: value[[rank]] if isinstance(value, Tensor) else value for name, value in batch.items()}
            for batch in batches("clinic", images=2)
        ]
        trainer(DistributedDataParallel(student), [handler], data, MarginalLoss()).run()
        return copied(student) | {f"partner {name}": value for name, value in copied(partner).items()}

    first, second = in_two_processes(train, tmp_path)
    student, partner = network(0), network(1)
    trainer(
        student, [CoTraining(student, partner, MarginalLoss(), 1.0, cut=False)], batches("clinic", 2), MarginalLoss()
    ).run()
    one = copied(student) | {f"partner {name}": value for name, value in copied(partner).items()}
    assert len(first) == len(one) == 8
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        torch.testing.assert_close(value, one[name], msg=name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"pseudo_labels": ["soft"]},
            r"--pseudo_labels: expected a list of fixed and dynamic, each .*, got \['soft'\]",
        ),
        ({"pseudo_labels": ["fixed", "fixed"]}, r"--pseudo_labels: .*each at most once, got \['fixed', 'fixed'\]"),
        ({"pseudo_labels": "fixed"}, r"--pseudo_labels: expected a list of fixed and dynamic, each .*, got 'fixed'"),
        ({"predict_with": "teacher"}, r"--predict_with: expected one of student, partner, both, got 'teacher'"),
        ({"consistency": 1.0}, r"--cotrain true and --consistency: .*leave one out"),
        (
            {"initial_weights": "model.pt"},
            r"--cotrain true and --initial_weights: the partner would start from scratch",
        ),
    ],
)
def test_wrong_use_is_refused(given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        CoTraining(**{"network": network(0), "partner": network(1), "loss": MarginalLoss(), **given})

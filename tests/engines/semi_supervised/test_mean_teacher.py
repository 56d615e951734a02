"""The teacher is the running average of the student, costs what it says, and survives resumes and several processes."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents, SupervisedTrainer
from monai.inferers import SimpleInferer
from tiny_training import Tiny, check_resumed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from two_processes import in_two_processes

from common.engines import inferer_for
from common.engines.semi_supervised import MeanTeacher, ema_decay
from common.label_sets import LabelSets
from common.losses import AdaptiveBCELoss, MarginalLoss

LABELS = LabelSets(
    ["background", "lv", "la"], {"clinic": {0: "background", 1: "lv"}, "none": {0: ["background", "lv", "la"]}}
)
AT_ONCE = (0.0, 0.01)
STEPS = 6


class Scalar(nn.Module):
    """One weight, whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


def network(seed: int = 0, rate: float = 0.5) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(rate), nn.Conv2d(8, 3, 1))


def batches(dataset: str = "clinic", images: int = 2) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(2 if dataset == "clinic" else 1, (STEPS, images, 1, 6, 6), generator=generator)
    index = torch.full((images,), list(LABELS.label_sets).index(dataset))
    noise = torch.randn(label.shape, generator=generator)
    return [{"image": x + y, "label": LABELS.encode_batch(y, index)} for x, y in zip(noise, label, strict=True)]


def trainer(net: nn.Module, handlers: list[Any], data: list[dict[str, Tensor]], **settings: Any) -> SupervisedTrainer:
    return SupervisedTrainer(
        **{"loss_function": MarginalLoss(), "inferer": SimpleInferer(), "max_epochs": 1, **settings},
        device=torch.device("cpu"),
        train_data_loader=data,
        network=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        decollate=False,
        train_handlers=handlers,
    )


class Watch:
    """Note something after each step."""

    def __init__(self, note: Callable[[Engine], Any], event: Any = Events.ITERATION_COMPLETED) -> None:
        self.note, self.event, self.seen = note, event, list[Any]()

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(self.event, lambda engine: self.seen.append(self.note(engine)))


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_the_average_has_the_check_values():
    student = Scalar()
    handler, averages = MeanTeacher(student, 1.0, AT_ONCE), []
    engine = Engine(lambda _, batch: student.weight.data.fill_(batch))
    engine.add_event_handler(Events.ITERATION_COMPLETED, handler._update, handler.teacher)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: averages.append(handler.teacher.weight.item()))
    engine.run([1.0, 2.0, 3.0, 4.0, 5.0])
    assert averages == [1, 1.5, 2, 2.5, 3]


def test_the_decay_never_exceeds_its_largest_value():
    assert [ema_decay(updates, 0.9) for updates in (0, 1, 9, 100)] == [0, 0.5, 0.9, 0.9]


@pytest.mark.parametrize("decay", [0.999, 0.6])
def test_the_teacher_is_the_weighted_sum_of_all_students(decay: float):
    """From the weight of each student in the end: (1 - a_t) times all later a."""
    net = network()
    handler, watch = MeanTeacher(net, 1.0, AT_ONCE, decay), Watch(lambda _: copied(net))
    trainer(net, [handler, watch], batches()).run()
    assert len(watch.seen) == STEPS
    alphas = [min(t / (t + 1), decay) for t in range(STEPS)]
    shares = [1 - alpha for alpha in alphas]
    for step in range(STEPS):
        for later in alphas[step + 1 :]:
            shares[step] *= later
    assert sum(shares) == pytest.approx(1)
    for name, value in handler.teacher.named_parameters():
        expected = sum(share * student[name].double() for share, student in zip(shares, watch.seen, strict=True))
        torch.testing.assert_close(value.double(), expected, atol=1e-6, rtol=1e-5)
        if name != "0.bias":  # batch norm takes it away again
            assert not torch.equal(value, net.get_parameter(name))


def test_batch_norm_counts_each_batch_of_the_student_once():
    """The statistics of both are those of the student alone, and they share no memory."""
    net = network(rate=0.0)
    handler, watch = MeanTeacher(net, 1.0, AT_ONCE), Watch(lambda _: copied(net))
    means = Watch(lambda _: (net[1].running_mean.clone(), handler.teacher[1].running_mean.clone()))
    trainer(net, [handler, watch, means], batches()).run()
    assert all(torch.equal(student, teacher) for student, teacher in means.seen), "after each step"
    mean = torch.zeros(8)
    weights = [copied(network(rate=0.0)), *watch.seen]
    for before, batch in zip(weights, batches(), strict=False):
        features = torch.conv2d(batch["image"], before["0.weight"], before["0.bias"], padding=1)
        mean = 0.9 * mean + 0.1 * features.mean(dim=(0, 2, 3))
    norm, own = net[1], handler.teacher[1]
    torch.testing.assert_close(norm.running_mean, mean, atol=1e-6, rtol=1e-4)
    assert norm.num_batches_tracked == own.num_batches_tracked == STEPS
    assert torch.equal(norm.running_mean, own.running_mean)
    assert norm.running_mean.data_ptr() != own.running_mean.data_ptr()


@pytest.mark.parametrize(("activation", "loss"), [("softmax", MarginalLoss()), ("sigmoid", AdaptiveBCELoss())])
@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_the_loss_is_its_own_and_the_weighted_squared_distance(activation: str, loss: nn.Module, weight: float):
    net = network()
    handler = MeanTeacher(net, weight, AT_ONCE, activation=activation)
    seen: list[tuple[Tensor, Tensor]] = []
    handler.teacher.register_forward_hook(lambda _, __, out: seen.append((out, torch.tensor(out.requires_grad))))
    watch = Watch(lambda engine: {name: value.detach() for name, value in engine.state.output.items()})
    settings = {"loss_function": loss, "inferer": inferer_for(activation)}
    trainer(net, [handler, watch], batches(), **settings).run()
    assert len(seen) == STEPS - 1, "at the first step the ramp is at zero: nothing is computed"
    for (logits, graded), output in zip(seen, watch.seen[1:], strict=True):
        student = output["pred"]
        p, q = (z.sigmoid()[:, 1:] if activation == "sigmoid" else z.softmax(dim=1) for z in (student, logits))
        expected = loss(student, output["label"]) + weight * (p - q).pow(2).sum(dim=1).mean()
        torch.testing.assert_close(output["loss"], expected)
        assert not graded, "no gradient flows into the teacher"
        assert (p - q).pow(2).sum() > 1e-3


@pytest.mark.parametrize(("activation", "classes"), [("softmax", 3), ("sigmoid", 2)])
def test_uncertain_and_ignored_pixels_do_not_count(activation: str, classes: int):
    """In every step the teacher sees the images three times, differently, and agrees by the first."""
    net = network()
    net[3].weight.data *= 4  # probabilities of all kinds
    handler = MeanTeacher(net, 2.0, AT_ONCE, activation=activation, teacher_passes=3)
    images, logits = list[Tensor](), list[Tensor]()
    handler.teacher.register_forward_hook(lambda _, given, out: images.append(given[0]) or logits.append(out))
    watch = Watch(lambda engine: {name: value.detach() for name, value in engine.state.output.items()})
    data, loss = batches(), MarginalLoss() if activation == "softmax" else AdaptiveBCELoss()
    for batch in data:
        batch["label"][:, :, :2] = 0  # ignored
    trainer(net, [handler, watch], data, loss_function=loss, inferer=inferer_for(activation)).run()
    assert len(logits) == 3 * (STEPS - 1)
    shares = []
    for step in range(1, STEPS):
        output, passes = watch.seen[step], logits[3 * (step - 1) : 3 * step]
        noise = [seen - output["image"] for seen in images[3 * (step - 1) : 3 * step]]
        assert all(0.05 < each.std() < 0.15 and each.abs().max() < 0.2001 for each in noise)
        assert not torch.equal(noise[0], noise[1])
        p, *q = (z.sigmoid()[:, 1:] if activation == "sigmoid" else z.softmax(1) for z in (output["pred"], *passes))
        mean = torch.stack(q).mean(dim=0)
        both = torch.stack([mean, 1 - mean]) if activation == "sigmoid" else mean[None]
        entropy = -(both * both.log()).sum(dim=0) / math.log(classes)
        unsure = entropy.mean(dim=1) if activation == "sigmoid" else entropy.sum(dim=1)
        counted = unsure < 0.75 + 0.25 * math.exp(-5 * (1 - step / STEPS) ** 2)
        counted[:, :2] = False
        expected = loss(output["pred"], output["label"]) + 2 * (p - q[0]).pow(2).sum(dim=1)[counted].mean()
        torch.testing.assert_close(output["loss"], expected)
        shares.append(counted.float().mean().item())
    assert 0.2 < min(shares) < max(shares) < 0.66


def test_only_the_student_has_gradients():
    net = network()
    handler = MeanTeacher(net, 1.0, AT_ONCE)
    trainer(net, [handler], batches()).run()
    assert all(value.grad is None and not value.requires_grad for value in handler.teacher.parameters())
    assert all(value.grad is not None for value in net.parameters())


def test_the_teacher_has_a_dropout_mask_of_its_own():
    net = network(rate=0.5)
    masks: dict[str, list[Tensor]] = {"student": [], "teacher": []}
    handler = MeanTeacher(net, 1.0, AT_ONCE)
    for name, one in (("student", net), ("teacher", handler.teacher)):
        one[2].register_forward_hook(lambda _, __, out, name=name: masks[name].append(out == 0))
    trainer(net, [handler], batches()).run()
    for student, teacher in zip(masks["student"][1:], masks["teacher"], strict=True):
        assert 0.3 < teacher.float().mean() < 0.7
        assert not torch.equal(student, teacher)


def test_images_without_any_annotation_teach_by_consistency_alone():
    net = network()
    before, watch = copied(net), Watch(lambda engine: engine.state.output["loss"].item())
    trainer(net, [MeanTeacher(net, 1.0, AT_ONCE), watch], batches("none")).run()
    assert watch.seen[0] == 0
    assert min(watch.seen[1:]) > 0
    assert not torch.equal(net[3].weight, before["3.weight"])


def test_a_weight_of_zero_is_no_teacher_and_computes_nothing():
    plain, net = network(), network()
    handler = MeanTeacher(net, 0.0, AT_ONCE)
    assert handler.teacher is None
    assert handler.predictor is net
    assert handler.state_dict() == {}
    for one, handlers in ((plain, []), (net, [handler])):
        torch.manual_seed(1)
        trainer(one, handlers, batches()).run()
    assert all(map(torch.equal, plain.state_dict().values(), net.state_dict().values()))


def test_bfloat16_is_used_for_both():
    net = network()
    handler, kinds = MeanTeacher(net, 1.0, AT_ONCE), set()
    handler.teacher[3].register_forward_hook(lambda _, __, out: kinds.add(out.dtype))
    watch = Watch(lambda engine: engine.state.output["loss"].dtype)
    trainer(net, [handler, watch], batches(), inferer=inferer_for("softmax", amp=True)).run()
    assert kinds == {torch.bfloat16}
    assert set(watch.seen) == {torch.float32}


def test_it_works_on_volumes():
    net = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.InstanceNorm3d(4), nn.Dropout(0.5), nn.Conv3d(4, 3, 1))
    data = [{name: value[..., None].repeat(1, 1, 1, 1, 4) for name, value in batch.items()} for batch in batches()]
    watch = Watch(lambda engine: engine.state.output["loss"].item())
    trainer(net, [MeanTeacher(net, 100.0, AT_ONCE), watch], data).run()
    assert min(watch.seen[1:]) > 1.1 * watch.seen[0]


class EncodeLabels:
    """Turn the labels of the tiny training into label-set maps, before the teacher reads them."""

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        label = engine.state.output["label"]
        sets = LabelSets(["background", "lv"], {"a": [["background"], ["lv"]]})
        engine.state.output["label"] = sets.encode_batch(label, torch.zeros(len(label), dtype=torch.int64))


def with_teacher(predict_with: str, *others: Callable[[Tiny], Any]) -> Callable[[Tiny], list[Any]]:
    """Return the handlers of a tiny training with a teacher; it is kept and validated as by the bundles."""

    def handlers(tiny: Tiny) -> list[Any]:
        teacher = MeanTeacher(tiny.network, 1.0, (0.1, 0.5), predict_with=predict_with)
        tiny.objects |= {"network": teacher.predictor, "mean_teacher": teacher}
        tiny.evaluator.network = teacher.predictor
        return [EncodeLabels(), teacher, *(handler for other in others for handler in other(tiny))]

    return handlers


@pytest.mark.parametrize("predict_with", ["student", "teacher"])
def test_a_resumed_training_is_the_uninterrupted_one_to_the_bit(tmp_path: Path, predict_with: str):
    whole = check_resumed(
        tmp_path, partial(with_teacher, predict_with), lambda tiny: tiny.objects["mean_teacher"].teacher
    )
    last = torch.load(tmp_path / "whole" / "last.pt", weights_only=True)
    own, other = last["network"], last["mean_teacher"]
    assert any(not torch.equal(own[name], other[name]) for name in own)
    student = own if predict_with == "student" else other
    assert all(torch.equal(student[name], value) for name, value in whole.network.state_dict().items())


def test_the_teacher_is_equal_in_all_processes(tmp_path: Path):
    def train(rank: int) -> dict[str, Tensor]:
        net = network(seed=rank)  # process 0 gives its weights to the others
        parallel = DistributedDataParallel(net)
        handler = MeanTeacher(net, 1.0, AT_ONCE)
        torch.manual_seed(rank)
        data = [{name: value[[rank]] for name, value in batch.items()} for batch in batches()]
        engine = trainer(parallel, [handler], data)
        engine.run()
        return {
            **{f"student {name}": value for name, value in net.named_parameters()},
            **dict(handler.teacher.named_parameters()),
        }

    first, second = in_two_processes(train, tmp_path)
    assert len(first) == 12
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert any(not torch.equal(first[name], first[f"student {name}"]) for name in first if "student" not in name)


def test_batch_statistics_are_exchanged_by_the_teacher_if_they_are_by_the_student():
    net = network()
    handler = MeanTeacher(net, 1.0, AT_ONCE)
    nn.SyncBatchNorm.convert_sync_batchnorm(net)
    handler._start(Engine(lambda *_: None), handler.teacher)
    assert isinstance(handler.teacher[1], nn.SyncBatchNorm)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ramp": [1]}, r"--consistency_ramp: expected two increasing fractions from 0 to 1, got \[1\]"),
        ({"ramp": [0.5, 0.5]}, r"--consistency_ramp: .*got \[0\.5, 0\.5\]"),
        ({"ramp": 0.5}, r"--consistency_ramp: .*got 0\.5"),
        ({"ramp": ["a", "b"]}, r"--consistency_ramp: .*got \['a', 'b'\]"),
        ({"ramp": [3, 13]}, r"--consistency_ramp: .*got \[3, 13\]"),
        ({"predict_with": "mean"}, r"--predict_with: expected one of student, teacher, got 'mean'"),
        ({"teacher_passes": -1}, r"--teacher_passes: expected a whole number from 0 on, got -1"),
        ({"teacher_passes": 2.0}, r"--teacher_passes: expected a whole number from 0 on, got 2\.0"),
        ({"teacher_passes": 8, "consistency": 0}, r"--teacher_passes needs a teacher: set --consistency"),
        ({"predict_with": "teacher", "consistency": 0}, r"--predict_with teacher needs a teacher: set --consistency"),
    ],
)
def test_wrong_use_is_refused(given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        MeanTeacher(**{"network": Scalar(), "consistency": 1.0, "ramp": AT_ONCE, **given})

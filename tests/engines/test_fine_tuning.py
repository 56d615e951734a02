"""Fine-tuning starts from the initial weights, and keeps their predictions where the annotation leaves a class open."""

import logging
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer
from torch import Tensor, nn

from common.engines import FineTuning
from common.label_set_map import drop_classes
from common.label_sets import LabelSets
from common.losses import MarginalLoss

CLASSES = ["background", "lv", "la"]
LV_ALONE = LabelSets(CLASSES, {"clinic": {0: ["background", "la"], 1: ["lv"]}})
COMPLETE = LabelSets(CLASSES, {"clinic": {0: ["background"], 1: ["lv"], 2: ["la"]}})


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 8, 1), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.ReLU(), nn.Conv2d(8, 3, 1))


def batch() -> dict[str, Tensor]:
    """Grey levels: 0.0 is background, 0.5 the left atrium, 1.0 the ventricle, drawn in the annotation of one image."""
    image = torch.tensor([0.0, 0.5, 1.0]).repeat_interleave(12).view(1, 1, 6, 6)
    truth = torch.tensor([0, 2, 1]).repeat_interleave(12).view(1, 1, 6, 6)
    image, truth = image.repeat(2, 1, 1, 1), truth.repeat(2, 1, 1, 1)
    label = COMPLETE.encode_batch(truth, torch.zeros(2, dtype=torch.int64))
    return {"image": image, "label": drop_classes(label, torch.tensor([[False, False, True], [False, False, False]]))}


def trainer(net: nn.Module, handler: FineTuning, data: list[dict[str, Tensor]], rate: float) -> SupervisedTrainer:
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=data,
        network=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=rate),
        loss_function=MarginalLoss(),
        decollate=False,
        train_handlers=[handler],
    )


def test_a_training_starts_from_the_weights():
    net, weights = network(0), network(1).state_dict()
    trainer(net, FineTuning(net, weights, 1.0, "softmax", LV_ALONE), [batch()], rate=0.0).run()
    trained = dict(net.named_parameters())
    assert len(trained) == 6
    torch.testing.assert_close({name: own.detach() for name, own in trained.items()}, {n: weights[n] for n in trained})


def test_a_value_that_admits_several_classes_is_open_to_the_initial_weights():
    whole = {0: "background", 1: "lv", 2: "la", 9: CLASSES}
    losses = []
    for distillation in (0.0, 1.0):
        net, weights = network(0), network(1).state_dict()
        engine = trainer(
            net,
            FineTuning(net, weights, distillation, "softmax", LabelSets(CLASSES, {"a": whole})),
            [batch()],
            rate=0.0,
        )
        engine.run()
        losses.append(float(engine.state.output["loss"]))
    assert losses[1] > losses[0] + 0.001


@pytest.mark.parametrize("distillation", [0.0, 0.5, 2.0])
def test_the_loss_is_the_marginal_one_and_the_weighted_divergence_within_the_label_set(distillation: float):
    net, weights = network(0), network(1).state_dict()
    engine = trainer(net, FineTuning(net, weights, distillation, "softmax", LV_ALONE), [batch()], rate=0.0)
    engine.run()
    frozen = network(1).eval()
    image, label, logits = (engine.state.output[key] for key in ("image", "label", "pred"))
    before, now = frozen(image).softmax(dim=1), logits.softmax(dim=1)
    expected = MarginalLoss()(logits, label)
    open_ = label[:, 0] == 0b101  # background or left atrium, in the first image
    assert open_.sum() == 24
    pair, own = (p[:, [0, 2]] / p[:, [0, 2]].sum(dim=1, keepdim=True) for p in (before, now))
    divergence = (pair * (pair / own).log()).sum(dim=1)[open_].sum() / open_.numel()
    torch.testing.assert_close(engine.state.output["loss"], expected + distillation * divergence)
    assert divergence > 0.001


def test_the_predictions_of_an_unannotated_class_stay_where_they_were():
    """Marginal loss alone lets the atrium go where the ventricle's gradients push it."""
    data = [batch()] * 80
    both = drop_classes(data[0]["label"], torch.tensor([[False, False, True]] * 2))
    data = [{**one, "label": both} for one in data]
    weights = network(1).state_dict()

    def atrium(net: nn.Module) -> Tensor:
        return net.eval()(data[0]["image"]).log_softmax(dim=1)[:, [0, 2], 2:4].diff(dim=1).detach()

    before = network(0)
    before.load_state_dict(weights)
    moved = []
    for distillation in (0.0, 10.0):
        net = network(0)
        net[2].p = 0.0
        trainer(net, FineTuning(net, weights, distillation, "softmax", LV_ALONE), data, rate=0.1).run()
        moved.append((atrium(net) - atrium(before)).abs().mean())
    assert moved[1] < 0.3 * moved[0]


@pytest.mark.parametrize(("given", "rate"), [({}, 0.1), ({"initial_weights": "model.pt"}, 0.01)])
def test_fine_tuning_has_a_lower_rate_unless_one_is_given(given: dict[str, str], rate: float):
    parser = ConfigParser()
    parser.read_config(Path(__file__).parents[2] / "bundles/echo_segmentation/configs/train.yaml")
    parser.update(given)
    assert parser.get_parsed_content("learning_rate") == rate
    parser.update({"learning_rate": 0.5})
    assert parser.get_parsed_content("learning_rate") == 0.5


def test_complete_annotation_and_training_from_scratch_cost_nothing(caplog: pytest.LogCaptureFixture):
    for handler in (FineTuning(net := network(0), net.state_dict(), 1.0, "softmax", COMPLETE), None):
        handler = handler or FineTuning(net := network(0), None, 1.0, "softmax", LV_ALONE)
        engine = trainer(net, handler, [batch()], rate=0.0)
        engine.run()
        torch.testing.assert_close(
            engine.state.output["loss"], MarginalLoss()(engine.state.output["pred"], engine.state.output["label"])
        )
    assert caplog.records == []


@pytest.mark.parametrize(
    ("distillation", "kept"),
    [
        (1.0, "the predictions of the initial weights keep them (--distillation 1.0)"),
        (0.0, "only a low rate keeps them (--distillation 0.0)"),
    ],
)
def test_one_line_names_the_classes_that_no_image_annotates(
    distillation: float, kept: str, caplog: pytest.LogCaptureFixture
):
    net = network(0)
    trainer(net, FineTuning(net, net.state_dict(), distillation, "softmax", LV_ALONE), [batch()], rate=0.0).run()
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.getMessage() == f"no image annotates la; {kept}"

"""Inferers predict the most likely class under each loss."""

import pytest
import torch
from monai.inferers import SimpleInferer

from common.engines import BackgroundReferenceInferer, FramesInferer, ShiftedInferer, inferer_for
from common.losses import MarginalDiceCELoss


def network(logits: torch.Tensor):
    return lambda inputs: logits.expand(len(inputs), -1, *inputs.shape[2:])


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([9.0, -1.0, -2.0], 0),  # no structure is more likely than not
        ([-9.0, -1.0, -2.0], 0),  # whatever the untrained background logit is
        ([9.0, 0.5, -2.0], 1),
        ([9.0, 0.5, 0.7], 2),
        ([-9.0, -0.1, 3.0], 2),
    ],
)
def test_the_background_wins_where_no_structure_is_more_likely_than_not(logits: list[float], expected: int):
    inputs = torch.zeros(2, 1, 3, 4)
    found = BackgroundReferenceInferer()(inputs, network(torch.tensor(logits).view(1, 3, 1, 1)))
    assert (found.argmax(dim=1) == expected).all()
    # the same rule for probabilities: compare the sigmoid of each structure with one half
    probability = torch.tensor(logits[1:]).sigmoid()
    assert expected == (0 if probability.max() < 0.5 else int(probability.argmax()) + 1)


def test_only_the_background_logit_is_replaced_and_the_networks_output_is_left_alone():
    logits = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    kept = logits.clone()
    found = BackgroundReferenceInferer()(torch.zeros(2, 1, 3, 3), lambda _: logits)
    assert torch.equal(found[:, 1:], kept[:, 1:])
    assert not found[:, 0].any()
    assert torch.equal(logits, kept)


def test_the_gradient_reaches_the_structures_and_not_the_background():
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    BackgroundReferenceInferer()(torch.zeros(1, 1, 2, 2), lambda _: logits).sum().backward()
    assert logits.grad is not None
    assert logits.grad[:, 0].abs().sum() == 0
    assert (logits.grad[:, 1:] == 1).all()


def test_each_activation_has_its_inferer():
    assert type(inferer_for("softmax")) is SimpleInferer
    assert type(inferer_for("sigmoid")) is BackgroundReferenceInferer
    for word in ("marginal", "adaptive_bce", None):
        with pytest.raises(ValueError, match=rf"expected activation to be one of softmax, sigmoid, got {word!r}"):
            inferer_for(word)


def test_frames_are_run_a_few_at_a_time_with_the_same_result():
    seen = []

    def net(inputs: torch.Tensor) -> torch.Tensor:
        seen.append(len(inputs))
        return inputs * 2

    images = torch.randn(7, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(FramesInferer(SimpleInferer(), 3)(images, net), images * 2)
    assert seen == [3, 3, 1]
    assert len(FramesInferer(SimpleInferer(), 3)(images[:0], net)) == 0


def test_rotated_and_scaled_copies_are_moved_back():
    blob = torch.zeros(1, 1, 64, 64)
    blob[..., 20:40, 10:50] = 1.0

    def net(inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([5 - 10 * inputs, 10 * inputs - 5], dim=1)

    plain, averaged = (FramesInferer(SimpleInferer(), 1, word)(blob, net) for word in ("never", "always"))
    assert averaged.shape == plain.shape
    torch.testing.assert_close(averaged.exp().sum(dim=1), torch.ones(1, 64, 64), rtol=0, atol=1e-4)
    differ = plain.argmax(dim=1) != averaged.argmax(dim=1)
    assert differ.sum() < 20, "corners of the rectangle, at most"
    other = blob + torch.linspace(-1, 1, 64)
    both = ShiftedInferer(SimpleInferer())(torch.cat([blob, other]), net)
    torch.testing.assert_close(both[:1], averaged)  # images do not mix
    assert not torch.equal(both[1:], averaged)


def test_only_the_frames_asked_for_are_averaged():
    runs = []

    def net(inputs: torch.Tensor) -> torch.Tensor:
        runs.append(len(inputs))
        return inputs.expand(-1, 2, -1, -1)

    for word, frames, expected in (("stills", 1, [9]), ("stills", 2, [2]), ("always", 2, [9, 9]), ("never", 1, [1])):
        runs.clear()
        FramesInferer(SimpleInferer(), 4, word)(torch.zeros(frames, 1, 4, 4), net)
        assert runs == expected, (word, frames)
    with pytest.raises(ValueError, match=r"expected augmented to be one of stills, always, never, got True"):
        FramesInferer(SimpleInferer(), 4, True)


def alternating(*copies: list[float]):
    """Return a network that gives the copies of an image these logits in turn, the same in every pixel."""
    logits = torch.tensor([copies[number % len(copies)] for number in range(9)])
    return lambda inputs: logits[:, :, None, None].expand(-1, -1, *inputs.shape[2:])


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_probabilities_are_averaged_as_the_logits_are_read(activation: str):
    copies = [[0.0, 3.0, 3.0], [0.0, -2.0, -2.5], [0.0, 3.0, 2.0]]
    found = ShiftedInferer(SimpleInferer(), activation)(torch.zeros(1, 1, 8, 8), alternating(*copies))[0, :, 4, 4]
    if activation == "softmax":
        expected = torch.tensor(copies).softmax(dim=1).mean(dim=0)
        torch.testing.assert_close(found.softmax(dim=0), expected)
    else:
        expected = torch.tensor(copies).sigmoid().mean(dim=0)
        torch.testing.assert_close(found.sigmoid(), expected)
        assert found[0] == 0, "the background stays the reference"


def test_the_mean_of_sigmoids_decides_and_not_that_of_a_softmax():
    # two structures that both say yes in one copy and no in the other: the mean sigmoid of the first is 0.53
    copies = [[0.0, 3.0, 3.0], [0.0, -2.0, -2.1]]
    choices = {
        activation: int(ShiftedInferer(SimpleInferer(), activation)(torch.zeros(1, 1, 8, 8), alternating(*copies))
                        [0, :, 4, 4].argmax())
        for activation in ("softmax", "sigmoid")
    }  # fmt: skip
    assert choices == {"softmax": 0, "sigmoid": 1}


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_impossible_classes_stay_finite(activation: str):
    found = ShiftedInferer(SimpleInferer(), activation)(torch.zeros(1, 1, 8, 8), alternating([0.0, 500.0, -500.0]))
    assert found.isfinite().all()
    assert (found.argmax(dim=1) == 1).all()


def test_other_readings_are_refused():
    with pytest.raises(ValueError, match=r"expected activation to be one of softmax, sigmoid, got 'marginal'"):
        FramesInferer(SimpleInferer(), 1, "always", "marginal")


def test_mixed_precision_computes_in_bfloat16_and_returns_float32():
    seen = []

    class Network(torch.nn.Conv2d):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits = super().forward(image)
            seen.append(logits.dtype)
            return logits

    torch.manual_seed(0)
    network, image = Network(1, 3, 3), torch.randn(2, 1, 8, 8)
    for activation in ("softmax", "sigmoid"):
        expected, logits = (inferer_for(activation, amp=amp)(image, network) for amp in (False, True))
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, expected, atol=0.02, rtol=0.02)  # bfloat16 has 8 bits
    assert seen == [torch.float32, torch.bfloat16] * 2


def test_mixed_precision_trains():
    torch.manual_seed(0)
    image = torch.randn(4, 1, 16, 16)
    target = torch.cat([1 + (image > 0), torch.full_like(image, 3)], dim=1).to(torch.uint8)
    network, loss_function = torch.nn.Conv2d(1, 2, 3, padding=1), MarginalDiceCELoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    losses = []
    for _ in range(20):
        loss = loss_function(inferer_for("softmax", amp=True)(image, network), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert loss.dtype == network.weight.grad.dtype == torch.float32
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(("instructions", "said"), [("AVX2", True), ("AVX512", False)])
def test_a_processor_that_imitates_bfloat16_is_said_aloud(
    instructions: str, said: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    inferer_for("softmax")
    assert not caplog.messages
    inferer_for("softmax", amp=True)
    assert ["--amp false is faster" in message for message in caplog.messages] == [True] * said


def test_windows_of_a_volume_are_averaged_and_the_background_follows_the_activation():
    volume = torch.randn(1, 1, 9, 7, 5, generator=torch.Generator().manual_seed(0))

    def net(inputs: torch.Tensor) -> torch.Tensor:
        assert inputs.shape[2:] == (6, 4, 8)
        return torch.cat([inputs, 2 * inputs], dim=1)

    logits = inferer_for("softmax", patch_size=[6, 4, 8])(volume, net)
    torch.testing.assert_close(logits, torch.cat([volume, 2 * volume], dim=1))
    sigmoid = inferer_for("sigmoid", patch_size=[6, 4, 8])(volume, net)
    torch.testing.assert_close(sigmoid, torch.cat([0 * volume, 2 * volume], dim=1))
    half = inferer_for("sigmoid", amp=True, patch_size=[6, 4, 8])(volume, net)
    assert half.dtype == torch.float32


def test_what_pads_a_volume_smaller_than_the_window_is_stated():
    seen = []

    def net(inputs: torch.Tensor) -> torch.Tensor:
        seen.append(inputs.clone())
        return inputs.clone()

    inferer_for("softmax", patch_size=[4, 4, 4], outside=-2.5)(torch.zeros(1, 1, 2, 4, 4), net)
    assert seen[0].unique().tolist() == [-2.5, 0.0]

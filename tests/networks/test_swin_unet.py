"""Swin-Unet has the parts of the paper and the symmetries of its structure, learns, and checks its arguments."""

import pytest
import torch
from monai.bundle import ConfigParser
from torch.nn import functional

import common.losses
from common.networks import SwinUnet


def small(**settings: object) -> SwinUnet:
    """A network of two stages for images of 32 pixels."""
    torch.manual_seed(0)
    arguments = {"image_size": 32, "embed_dim": 32, "depths": (2, 2), "window_size": 4, **settings}
    return SwinUnet(in_channels=1, out_channels=3, **arguments)


def images(count: int = 2, size: int = 32) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0))


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("image_size", "window_size", "depths"),
    [
        (64, 4, (2, 2, 2)),
        (64, 4, (2, 2, 2, 2)),  # the bottleneck has fewer tokens than a window
        (64, 2, (2, 2, 2, 2)),
        (256, 8, (1, 1)),
        (28, 7, (2,)),  # a bottleneck alone
        (8, 7, (1, 3)),
        (56, 7, (2, 2)),
        (40, 5, (1, 2)),
    ],
)
def test_logits_have_the_shape_of_the_image(image_size: int, window_size: int, depths: tuple[int, ...]):
    network = SwinUnet(3, 5, image_size, embed_dim=16, depths=depths, window_size=window_size)
    logits = network(torch.rand(2, 3, image_size, image_size))
    assert logits.shape == (2, 5, image_size, image_size)
    assert bool(logits.isfinite().all())


# The paper's Swin-Unet at 224 x 224 pixels, and its parameters


def test_the_encoder_of_swin_t_has_as_many_parameters_as_published():
    network = SwinUnet(3, 9, 224, depths=(2, 2, 6, 2))
    encoder = sum(map(parameters, (network.embed, network.encoder, network.merge, network.bottleneck)))
    classifier = 768 * 1000 + 1000
    assert encoder + classifier == 28_288_354  # Swin-T of Liu et al. (2021), who print 28 M


def test_the_papers_network_has_27_2_million_parameters():
    def block(channels: int) -> int:  # two norms, queries, keys and values, projection, dense layers, position bias
        norms, attention, dense = 4 * channels, 4 * channels**2 + 4 * channels, 8 * channels**2 + 5 * channels
        return norms + attention + dense + channels // 32 * 13**2

    embed = 48 * 96 + 96 + 2 * 96
    encoder = sum(2 * block(c) + 8 * c**2 + 8 * c for c in (96, 192, 384))
    bottleneck = 2 * block(768) + 2 * 768
    decoder = sum(2 * block(c) + 8 * c**2 + 2 * c + 2 * c**2 + c for c in (96, 192, 384))
    head = 2 * 96 + 16 * 96**2 + 2 * 96 + 9 * 96
    assert parameters(SwinUnet(3, 9, 224)) == embed + encoder + bottleneck + decoder + head == 27_168_900


def test_the_decoder_mirrors_the_encoder():
    network = SwinUnet(1, 2, 32, embed_dim=16, depths=(1, 2, 3), window_size=2, drop_path=0.5)
    assert [len(stage) for stage in network.encoder] == [1, 2]
    assert len(network.bottleneck) == 3 + 1, "and a norm"
    assert [len(stage) for stage in network.decoder] == [2, 1]
    rates = [block.dense[2].drop_prob for stage in [*network.encoder, network.bottleneck[:-1]] for block in stage]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert [[block.attention[2].drop_prob for block in stage] for stage in network.decoder] == [
        pytest.approx([0.1, 0.2]),
        [0.0],
    ]
    shifts = [[block.attention[1].shift for block in stage] for stage in network.encoder]
    assert shifts == [[0], [0, 1]]


# What its structure implies


def test_without_shifts_moving_the_image_by_whole_windows_moves_the_logits():
    network = small(window_size=2, depths=(1, 1)).double().eval()
    image = images().double()
    side = 2 * 4 * 2  # window x patch x merging, in pixels
    moved = network(image.roll((side, -side), dims=(2, 3)))
    torch.testing.assert_close(moved, network(image).roll((side, -side), dims=(2, 3)))
    assert not torch.allclose(network(image.roll(4, dims=2)), network(image).roll(4, dims=2))


def test_shifted_windows_let_a_pixel_reach_beyond_its_window():
    image = images(1)
    changed = image.clone()
    changed[..., 0, 0] += 1
    reached = []
    for depths in [(1,), (2,)]:
        network = small(window_size=2, depths=depths).eval()
        reached.append(int((network(image) != network(changed)).any(dim=1).sum()))
    assert reached == [8**2, 12**2], "one window of 2 x 2 patches; with the shift one more patch each way"


def test_skip_connections_carry_the_image_past_the_bottleneck():
    network = small(depths=(1, 1, 1), window_size=2).eval()
    for expand in network.expand:
        torch.nn.init.zeros_(expand.norm.weight)  # nothing comes from below
        one, other = network(images())
        assert not torch.allclose(one, other)


def test_the_images_of_a_batch_are_independent():
    network = small().eval()
    batch = images(3)
    alone = torch.cat([network(image[None]) for image in batch])
    torch.testing.assert_close(network(batch), alone, atol=1e-5, rtol=1e-5)  # BLAS sums in another order


def test_drop_path_follows_the_seed_of_torch_and_is_off_in_evaluation():
    network, image = small(drop_path=0.5), images(8)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(network(image))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    network.eval()
    assert torch.equal(network(image), network(image))
    assert torch.equal(network(image), small(drop_path=0.0).train()(image))


# Learning


def test_a_new_network_distinguishes_uniform_images_by_grey_value():
    network = small().eval()  # with a bias of 0 the norm after the embedding would remove the grey value
    dark, bright = (network(torch.full((1, 1, 32, 32), grey)) for grey in (0.2, 0.8))
    assert (dark - bright).abs().max() > 0.1 * dark.abs().max()


def test_every_parameter_gets_a_gradient():
    network = small(drop_path=0.0)
    network(images()).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool((parameter.grad != 0).any()), name


def test_the_gradient_is_right():
    network = SwinUnet(1, 2, 16, embed_dim=4, depths=(2, 1), window_size=2).double().eval()
    image = images(1, 16).double().requires_grad_()
    assert torch.autograd.gradcheck(network, image, fast_mode=True)
    tokens = list(network.parameters())
    assert torch.autograd.gradcheck(lambda *_: network(image.detach()).mean(), tokens, fast_mode=True)


@pytest.mark.slow
def test_it_learns_noisy_discs():
    generator = torch.Generator().manual_seed(0)
    place = torch.arange(32.0)
    centre = torch.rand(4, 2, 1, 1, generator=generator) * 12 + 10
    distance = ((place[:, None] - centre[:, 0]) ** 2 + (place - centre[:, 1]) ** 2).sqrt()
    truth = (distance < 8).long() + (distance < 4).long()
    image = truth[:, None] / 2 + 0.2 * torch.randn(4, 1, 32, 32, generator=generator)
    network = small()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003)
    for _ in range(80):
        loss = functional.cross_entropy(network(image), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    predicted = network.eval()(image).argmax(dim=1)
    for value in (1, 2):
        both = ((predicted == value) & (truth == value)).sum()
        assert 2 * both / ((predicted == value).sum() + (truth == value).sum()) > 0.9


# How trainings use it


def test_the_memory_format_changes_nothing_and_losses_take_the_logits():
    network, image = small().eval(), images()
    logits = network.to(memory_format=torch.channels_last)(image.to(memory_format=torch.channels_last))
    torch.testing.assert_close(logits, network(image))
    target = torch.tensor([1, 7], dtype=torch.uint8).reshape(1, 2, 1, 1).expand(2, 2, 32, 32)
    for name in ("MarginalLoss", "AdaptiveBCELoss", "MarginalDiceLoss"):
        loss = getattr(common.losses, name)()
        torch.testing.assert_close(loss(logits, target), loss(logits.contiguous(), target))


def test_bfloat16_autocast_comes_close_to_single_precision():
    network, image = small(), images()
    expected = network.eval()(image)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(image)
        functional.cross_entropy(logits, torch.zeros(2, 32, 32, dtype=torch.long)).backward()
    assert logits.dtype == torch.bfloat16
    assert (logits - expected).norm() < 0.03 * expected.norm()  # bfloat16 has 8 bits
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())


def test_weights_come_back_from_a_state_dict_also_at_another_image_size():
    network = small().eval()
    state = network.state_dict()
    assert set(state) == {name for name, _ in network.named_parameters()}
    torch.manual_seed(1)
    other = SwinUnet(1, 3, 32, embed_dim=32, depths=(2, 2), window_size=4).eval()
    other.load_state_dict(state)
    assert torch.equal(other(images()), network(images()))
    larger = small(image_size=64)
    larger.load_state_dict(state)
    assert larger(images(1, 64)).shape == (1, 3, 64, 64)


def test_a_configuration_of_a_bundle_makes_it():
    entry = {"_target_": "common.networks.SwinUnet", "in_channels": 1, "out_channels": 4, "image_size": 64}
    parser = ConfigParser({"network": {**entry, "embed_dim": 48, "depths": [2, 2, 2], "window_size": 4}})
    network = parser.get_parsed_content("network")
    assert isinstance(network, SwinUnet)
    assert network(images(1, 64)).shape == (1, 4, 64, 64)


@pytest.mark.slow
def test_it_can_be_exported():
    network = small().eval()
    exported = torch.export.export(network, (images(),))
    torch.testing.assert_close(exported.module()(images()), network(images()))


@pytest.mark.slow
def test_it_is_one_graph_for_a_compiler():
    torch._dynamo.reset()
    network = small(depths=(2, 1), drop_path=0.5)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")  # inductor takes minutes
    results = []
    for model in (network, compiled):
        torch.manual_seed(1)
        logits = model(images())
        logits.square().mean().backward()
        results.append([logits.detach(), *(parameter.grad.clone() for parameter in network.parameters())])
        network.zero_grad()
    torch.testing.assert_close(results[0], results[1])


# What it refuses


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 64, "window_size": 7, "depths": (2, 2)}, r"Use image_size 56 or 112, .* 2, 4, 8, 16\."),
        (
            {"image_size": 30},
            r"image_size 30 does not suit window_size 4 in 2 stages: .* 16 or 32, .* window_size \(no",
        ),
        ({"image_size": 4}, r"image_size 4 does not suit .* Use image_size 8, or for 4 window_size \(none\)\."),
        ({"image_size": 0}, r"image_size 0 does not suit"),
        ({"window_size": 1}, r"at least 1 stage and windows of at least 2 tokens per side, got 2 and 1"),
        ({"depths": ()}, r"at least 1 stage .* got 0 and 4"),
        ({"drop_path": 1.0}, r"expected drop_path from 0 to less than 1, got 1\.0"),
        ({"drop_path": -0.1}, r"expected drop_path .* got -0\.1"),
    ],
)
def test_wrong_sizes_are_refused_with_possible_ones(settings: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        small(**settings)


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (1, 1, 32, 64), (1, 3, 32, 32)])
def test_an_image_of_another_shape_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"expected images \(B, \*\(1, 32, 32\)\), got \(1, "):
        small()(torch.zeros(shape))

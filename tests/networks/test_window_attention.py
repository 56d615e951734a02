"""Attention and layers against their definitions and against MONAI's blocks."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.networks.nets.swin_unetr import PatchMergingV2, SwinTransformerBlock, compute_mask

from common.networks.swin_block import PatchExpanding, PatchMerging, SwinBlock
from common.networks.tiles import join_tiles, split_tiles
from common.networks.window_attention import WindowAttention, heads_of, relative_position, shift_mask


def randomized(module: torch.nn.Module, scale: float = 0.5) -> torch.nn.Module:
    """Draw every parameter at random, so that nothing cancels and nothing is zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def influence(attention: torch.nn.Module, grid: int, channels: int) -> torch.Tensor:
    """Return for any two tokens whether the output of the first depends on the second: (grid ** 2, grid ** 2)."""
    tokens = torch.randn(1, grid, grid, channels, generator=torch.Generator().manual_seed(1))
    jacobian = torch.autograd.functional.jacobian(attention, tokens)
    parts = jacobian.reshape(grid**2, channels, grid**2, channels).abs().amax(dim=(1, 3))
    return parts > 0


def meet(one: tuple[int, int], other: tuple[int, int], window: int, shift: int) -> bool:
    """Return whether two tokens share a window, if windows are shifted and cropped at the edge, without rolling."""
    return all((a - shift) // window == (b - shift) // window for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("grid", "window", "shifted", "shift"),
    [(8, 4, True, 2), (8, 4, False, 0), (6, 3, True, 1), (6, 2, True, 1), (4, 4, True, 0), (2, 4, True, 0)],
)
def test_exactly_the_tokens_of_a_window_influence_each_other(grid: int, window: int, shifted: bool, shift: int):
    attention = randomized(WindowAttention(3, grid, window, shifted))
    places = list(product(range(grid), range(grid)))
    expected = torch.tensor([[meet(one, other, window, shift) for other in places] for one in places])
    assert torch.equal(influence(attention, grid, 3), expected)


def test_masked_tokens_change_nothing_however_large():
    attention = randomized(WindowAttention(32, 8, 4, shifted=True))
    tokens = torch.randn(1, 8, 8, 32, generator=torch.Generator().manual_seed(1))
    moved = tokens.clone()
    moved[0, 0, 0] = 1e4  # after rolling it shares a window with the lower right corner
    difference = (attention(tokens) != attention(moved)).any(dim=3)[0]
    assert difference[0, 0]
    difference[:2, :2] = False  # its window
    assert not difference.any()


@pytest.mark.parametrize("window", [2, 3, 4, 7])
def test_relative_positions_are_equal_exactly_where_the_offsets_are(window: int):
    places = list(product(range(window), range(window)))
    number = relative_position(window).tolist()
    offsets: dict[int, set[tuple[int, int]]] = {}
    for (a, one), (b, other) in product(enumerate(places), repeat=2):
        offsets.setdefault(number[a][b], set()).add((one[0] - other[0], one[1] - other[1]))
    assert sorted(offsets) == list(range((2 * window - 1) ** 2)), "every entry of the table is used"
    assert all(len(same) == 1 for same in offsets.values())
    assert len(set.union(*offsets.values())) == len(offsets)


def test_only_windows_at_the_far_edges_are_masked():
    masked = (shift_mask(12, 4, 2) != 0).any(dim=2).any(dim=1).reshape(3, 3)
    assert masked.tolist() == [[False, False, True], [False, False, True], [True, True, True]]
    assert bool((shift_mask(12, 4, 0) == 0).all())


def test_heads_have_32_channels_or_the_next_number_that_divides():
    assert [heads_of(96 * 2**stage) for stage in range(4)] == [3, 6, 12, 24], "Swin-T"
    assert [heads_of(128 * 2**stage) for stage in range(4)] == [4, 8, 16, 32], "Swin-B"
    for channels in range(1, 300):
        assert channels % heads_of(channels) == 0
        assert channels // heads_of(channels) >= min(channels, 32)


def monai_block(block: SwinBlock, channels: int, window: int, shift: int) -> SwinTransformerBlock:
    """Give MONAI's block the weights of ours."""
    theirs = SwinTransformerBlock(channels, heads_of(channels), (window, window), (shift, shift)).eval()
    norm, attention = block.attention[0], block.attention[1]
    ours = {
        "norm1": norm,
        "attn.qkv": attention.to_query_key_value,
        "attn.proj": attention.out,
        "norm2": block.dense[0],
        "mlp.linear1": block.dense[1][0],
        "mlp.linear2": block.dense[1][2],
    }
    state = {f"{name}.{key}": value for name, part in ours.items() for key, value in part.state_dict().items()}
    state["attn.relative_position_bias_table"] = attention.position_bias.detach().T
    state["attn.relative_position_index"] = relative_position(window)
    theirs.load_state_dict(state)
    return theirs


@pytest.mark.parametrize(("shifted", "shift"), [(False, 0), (True, 2)])
def test_a_block_computes_what_monais_does(shifted: bool, shift: int):
    block = randomized(SwinBlock(96, 12, 4, shifted, drop_path=0.0), scale=0.1)
    theirs = monai_block(block, 96, 4, shift)
    tokens = torch.randn(2, 12, 12, 96, generator=torch.Generator().manual_seed(1))
    mask = compute_mask([12, 12], (4, 4), (shift, shift), "cpu") if shift else None
    torch.testing.assert_close(block(tokens), theirs(tokens, mask))


def test_merging_computes_what_monais_does():
    merging = randomized(PatchMerging(8))
    theirs = PatchMergingV2(8, spatial_dims=2)
    columns_first = {  # their four tokens come column by column, ours row by row
        key.replace("reduce", "reduction"): value.unflatten(-1, (2, 2, 8)).transpose(-2, -3).flatten(-3)
        for key, value in merging.state_dict().items()
    }
    theirs.load_state_dict(columns_first)
    tokens = torch.randn(2, 6, 4, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(merging(tokens), theirs(tokens))


def test_expanding_arranges_the_parts_of_a_token_row_by_row():
    expanding = PatchExpanding(8, 2, side=2)
    with torch.no_grad():
        expanding.expand.weight.copy_(torch.eye(8))
    expanding.norm = torch.nn.Identity()
    result = expanding(torch.arange(16.0).reshape(1, 1, 2, 8))
    assert result[0, :, :, 0].tolist() == [[0, 2, 8, 10], [4, 6, 12, 14]]


@given(batch=st.integers(1, 2), rows=st.integers(1, 3), columns=st.integers(1, 3), side=st.integers(1, 4))
def test_joining_tiles_restores_the_grid(batch: int, rows: int, columns: int, side: int):
    grid = torch.arange(batch * rows * columns * side**2 * 2).reshape(batch, rows * side, columns * side, 2)
    tiles = split_tiles(grid, side)
    assert tiles.shape == (batch, rows, columns, side**2, 2)
    assert torch.equal(join_tiles(tiles), grid)
    for row, column, token in product(range(rows), range(columns), range(side**2)):
        expected = grid[:, row * side + token // side, column * side + token % side]
        assert torch.equal(tiles[:, row, column, token], expected)

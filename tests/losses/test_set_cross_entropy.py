"""The primitive against its definition, and its numerical guarantees."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from common.losses import set_cross_entropy


def plainly(logits, admitted, competing):
    """The definition for one pixel with Python floats."""

    def logsumexp(bits):
        chosen = [z for c, z in enumerate(logits) if bits >> c & 1]
        return max(chosen) + math.log(math.fsum(math.exp(z - max(chosen)) for z in chosen))

    return logsumexp(competing) - logsumexp(admitted)


@st.composite
def pixels(draw, scale=300.0):
    """Draw logits (N, C, 1), non-empty admitted sets and competing sets that hold them."""
    num_classes = draw(st.integers(1, 7))
    count = draw(st.integers(1, 4))
    finite = st.floats(-scale, scale, width=32)
    logits = [[draw(finite) for _ in range(num_classes)] for _ in range(count)]
    competing = [draw(st.integers(1, 2**num_classes - 1)) for _ in range(count)]
    admitted = [draw(st.integers(1, 2**num_classes - 1)) & bits or bits for bits in competing]
    return logits, admitted, competing


def tensors(logits, admitted, competing, dtype=torch.float64):
    masks = (torch.tensor(bits, dtype=torch.uint8)[:, None] for bits in (admitted, competing))
    return torch.tensor(logits, dtype=dtype)[..., None], *masks


@settings(deadline=None, max_examples=100)
@given(pixels())
def test_the_loss_equals_its_definition(drawn):
    logits, admitted, competing = tensors(*drawn)
    expected = torch.tensor([plainly(*pixel) for pixel in zip(*drawn, strict=True)], dtype=torch.float64)[:, None]
    torch.testing.assert_close(set_cross_entropy(logits, admitted, competing), expected, atol=1e-12, rtol=1e-12)
    # logits up to 300 are exact to 3e-5 in float32
    single = set_cross_entropy(logits.float(), admitted, competing)
    torch.testing.assert_close(single, expected.float(), atol=1e-4, rtol=1e-5)
    assert bool((single >= 0).all())


@settings(deadline=None, max_examples=60)
@given(pixels())
def test_the_gradient_is_the_difference_of_two_softmaxes(drawn):
    logits, admitted, competing = tensors(*drawn)
    logits.requires_grad_()
    weight = torch.arange(1.0, len(logits) + 1, dtype=torch.float64)[:, None]
    (weight * set_cross_entropy(logits, admitted, competing)).sum().backward()
    classes = 2 ** torch.arange(logits.shape[1])[None, :, None]
    softmax = [
        logits.detach().masked_fill(bits.long()[:, None] & classes == 0, -math.inf).softmax(dim=1)
        for bits in (competing, admitted)
    ]
    torch.testing.assert_close(logits.grad, weight[:, None] * (softmax[0] - softmax[1]), atol=1e-12, rtol=1e-10)
    assert bool((logits.grad[(competing[:, None].long() & classes) == 0] == 0).all())


@settings(deadline=None, max_examples=20)
@given(pixels(scale=3.0))
def test_the_gradient_passes_gradcheck(drawn):
    logits, admitted, competing = tensors(*drawn)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: set_cross_entropy(z, admitted, competing), logits)
    every = torch.full_like(admitted, 2 ** logits.shape[1] - 1)
    torch.testing.assert_close(set_cross_entropy(logits, admitted), set_cross_entropy(logits, admitted, every))


@settings(deadline=None, max_examples=60)
@given(pixels())
def test_equal_sets_cost_exactly_nothing(drawn):
    logits, admitted, _ = tensors(*drawn, dtype=torch.float32)
    logits.requires_grad_()
    loss = set_cross_entropy(logits, admitted, admitted)
    loss.sum().backward()
    assert bool((loss == 0).all())
    assert bool((logits.grad == 0).all())


def test_one_admitted_class_among_all_is_the_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, 4, generator=generator).mul_(10).requires_grad_()
    label = torch.randint(0, 5, (2, 3, 4), generator=generator)
    expected = functional.cross_entropy(logits, label)
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    loss = set_cross_entropy(logits, (1 << label).to(torch.uint8)).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], expected_gradient)


@pytest.mark.parametrize(
    ("dtype", "num_classes"), [(torch.uint8, 8), (torch.int16, 15), (torch.int32, 31), (torch.int64, 63)]
)
def test_every_bit_of_every_dtype_counts(dtype, num_classes):
    label = torch.arange(num_classes)[None]
    logits = torch.randn(1, num_classes, num_classes, generator=torch.Generator().manual_seed(0))
    every = torch.full_like(label, 2**num_classes - 1).to(dtype)
    loss = set_cross_entropy(logits, (1 << label).to(dtype), every)
    torch.testing.assert_close(loss, functional.cross_entropy(logits, label, reduction="none"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_reduced_in_single_precision(dtype):
    logits = torch.randn(1, 4, 500, generator=torch.Generator().manual_seed(0)).mul_(20).to(dtype).requires_grad_()
    admitted = torch.randint(1, 16, (1, 500), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    loss = set_cross_entropy(logits, admitted)
    single = logits.detach().float().requires_grad_()
    expected = set_cross_entropy(single, admitted)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    # a mean over many pixels would underflow in float16 if it were taken before the gradient is scaled
    (loss.mean() * 2**12).backward()
    (expected.mean() * 2**12).backward()
    assert logits.grad.dtype == dtype
    torch.testing.assert_close(logits.grad.float(), single.grad, atol=1e-3, rtol=1e-2)


def test_a_second_derivative_raises_instead_of_being_wrong():
    logits = torch.zeros(1, 3, 2, requires_grad=True)
    loss = set_cross_entropy(logits, torch.ones(1, 2, dtype=torch.uint8)).sum()
    with pytest.raises(RuntimeError, match="no second derivative; differentiate it without create_graph"):
        torch.autograd.grad(loss, logits, create_graph=True)


def test_inputs_are_left_alone():
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    admitted, competing = torch.full((2, 4), 2), torch.full((2, 4), 6)
    before = [tensor.clone() for tensor in (logits, admitted, competing)]
    set_cross_entropy(logits.requires_grad_(), admitted, competing).sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(before, (logits, admitted, competing), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
def test_it_compiles_without_a_break(masked):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 9, 17, generator=generator).mul_(30)
    admitted = torch.randint(1, 16, (2, 9, 17), generator=generator, dtype=torch.uint8)
    competing = admitted | 3 if masked else None
    compiled = torch.compile(lambda z: set_cross_entropy(z, admitted, competing).mean(), fullgraph=True)
    results = []
    for function in (compiled, lambda z: set_cross_entropy(z, admitted, competing).mean()):
        leaf = logits.clone().requires_grad_()
        loss = function(leaf)
        loss.backward()
        results.append((loss, leaf.grad))
    torch.testing.assert_close(*results)

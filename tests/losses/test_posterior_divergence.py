"""The divergence within a label set against its plain definition, and the laws that make it a distillation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.losses import MarginalLoss
from common.losses.posterior_divergence import posterior_divergence

finite = st.floats(-30, 30, width=32)


@st.composite
def pixels(draw):
    """Draw logits of two networks, admitted and annotated classes, of pixels that are not ignored."""
    classes, count = draw(st.integers(2, 5)), draw(st.integers(1, 4))
    logits, others = ([[draw(finite) for _ in range(classes)] for _ in range(count)] for _ in range(2))
    admitted = [draw(st.integers(1, 2**classes - 1)) for _ in range(count)]
    annotated = [draw(st.integers(0, 2**classes - 1)) for _ in range(count)]
    return logits, others, admitted, annotated


def tensors(logits, others, admitted, annotated):
    target = torch.stack([torch.tensor(bits, dtype=torch.uint8)[:, None] for bits in (admitted, annotated)], dim=1)
    return *(torch.tensor(values, dtype=torch.float64)[..., None] for values in (logits, others)), target


def softmax_divergence(logits, others, admitted, _):
    members = [c for c in range(len(logits)) if admitted >> c & 1]
    p, q = ([math.exp(z[c]) for c in members] for z in (logits, others))
    return sum(b / sum(q) * math.log(b / sum(q) / (a / sum(p))) for a, b in zip(p, q, strict=True))


def sigmoid_divergence(logits, others, admitted, annotated):
    total = 0.0
    for c in range(1, len(logits)):
        if annotated >> c & 1:
            continue
        yes, no = (math.log1p(math.exp(-logits[c])), math.log1p(math.exp(logits[c])))  # minus the log probabilities
        if admitted >> c & 1:
            q, not_q = 1 / (1 + math.exp(-others[c])), 1 / (1 + math.exp(others[c]))
            total += q * (math.log(q) + yes) + not_q * (math.log(not_q) + no)
        else:
            total += no
    return total


@settings(deadline=None, max_examples=60)
@given(pixels())
@pytest.mark.parametrize(("activation", "plainly"), [("softmax", softmax_divergence), ("sigmoid", sigmoid_divergence)])
def test_the_divergence_equals_its_definition(activation, plainly, drawn):
    expected = torch.tensor([plainly(*pixel) for pixel in zip(*drawn, strict=True)], dtype=torch.float64)[:, None]
    found = posterior_divergence(*tensors(*drawn), activation)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-7)


@settings(deadline=None, max_examples=40)
@given(pixels())
def test_with_the_marginal_loss_it_is_the_cross_entropy_with_the_posterior_of_the_other_network(drawn):
    logits, others, target = tensors(*drawn)
    logits.requires_grad_()
    (MarginalLoss("sum")(logits, target) + posterior_divergence(logits, others, target).sum()).backward()
    members = (target[:, :1].long() >> torch.arange(logits.shape[1])[None, :, None]) & 1
    posterior = others.softmax(dim=1) * members
    posterior = posterior / posterior.sum(dim=1, keepdim=True)
    torch.testing.assert_close(logits.grad, logits.detach().softmax(dim=1) - posterior, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_known_and_ignored_pixels_cost_nothing_whatever_the_networks_say(activation):
    logits = torch.tensor([[[300.0, -300.0], [9.0, 0.0], [-1e30, 1e30]]], requires_grad=True)
    target = torch.tensor([[[2, 0], [7, 0]]], dtype=torch.uint8)  # class 1, ignored
    divergence = posterior_divergence(logits, -logits.detach(), target, activation)
    divergence.sum().backward()
    assert divergence.tolist() == [[0.0, 0.0]]
    assert not logits.grad.any()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_same_prediction_has_no_divergence_and_no_gradient_and_passes_gradcheck(activation):
    generator = torch.Generator().manual_seed(0)
    logits, others = (torch.randn(2, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    target = torch.tensor([[[5, 7, 5, 7], [2, 0, 2, 0]]] * 2, dtype=torch.uint8)  # every class is open or admitted
    leaf = logits.clone().requires_grad_()
    divergence = posterior_divergence(leaf, logits, target, activation)
    divergence.sum().backward()
    torch.testing.assert_close(divergence.detach(), torch.zeros(2, 4, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(leaf.grad, torch.zeros_like(leaf), atol=1e-12, rtol=0)
    assert torch.autograd.gradcheck(lambda z: posterior_divergence(z, others, target, activation), leaf)
    half = posterior_divergence(logits.half(), others.half(), target, activation)
    assert half.dtype == torch.float32

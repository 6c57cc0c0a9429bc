"""The loss of word scores, without ever holding those of all tokens at once.

A step of 2,000 tokens has 60 million scores of the student and as many of the teacher. Both are made for a few tokens
at a time, and the gradients of what made the student's are taken on the spot: hidden states, word table, bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

TOKENS = 256  # whose scores are in memory at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """What scores are made of: x [N, D] behind the head's transform, the word table [V, D], a bias [V]."""

    x: Tensor
    table: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wanted:
    """What the scores of N tokens are held against."""

    soft: Tensor  # [N], the weight of each token's divergence from the teacher
    labels: Tensor  # [N], int64: the right piece; -1 where it is not asked for
    hard: float  # the weight of the right pieces' cross-entropy
    temperature: float


def word_score_loss(student: Scored, teacher: Scored, wanted: Wanted) -> Tensor:
    """Sum the divergences KL(teacher | student) at a temperature, times its square, and the cross-entropies.

    Hinton et al. 2015 (arXiv:1503.02531), section 2: the square keeps the gradient's size.
    """
    loss: Tensor = _WordScoreLoss.apply(student.x, student.table, student.bias, teacher, wanted)
    return loss


class _WordScoreLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, bias: Tensor, teacher: Scored, wanted: Wanted) -> Tensor:
        device = x.device.type
        working = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        with torch.autocast(device, enabled=False):
            rows, words = x.detach().to(working), table.detach().to(working)
            theirs, their_words = teacher.x.to(working), teacher.table.to(working)
            total = torch.zeros((), device=x.device)
            dx, dtable, dbias = torch.empty_like(rows), torch.zeros_like(table), torch.zeros_like(bias)
            for begin in range(0, len(rows), TOKENS):
                part = slice(begin, begin + TOKENS)
                scores = functional.linear(rows[part], words).float() + bias.detach()
                targets = functional.linear(theirs[part], their_words).float() + teacher.bias
                loss, grad = _divergence(scores, targets, wanted.soft[part], wanted.temperature)
                total += loss + _cross_entropy(scores, grad, wanted.labels[part], wanted.hard)
                narrow = grad.to(working)
                torch.mm(narrow, words, out=dx[part])
                dtable += narrow.T @ rows[part]
                dbias += grad.sum(0)
        ctx.save_for_backward(dx.to(x.dtype), dtable, dbias)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        dx, dtable, dbias = (grad * upstream[0] for grad in ctx.saved_tensors)
        return dx, dtable, dbias, None, None


def _divergence(scores: Tensor, targets: Tensor, weights: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of divergences, and its gradient [n, V] on `scores`."""
    ours = (scores / temperature).log_softmax(-1)
    theirs = targets.div_(temperature).log_softmax(-1)
    probabilities = theirs.exp()
    divergences = (probabilities * (theirs - ours)).sum(-1)
    grad = (ours.exp_() - probabilities) * (temperature * weights[:, None])
    return (divergences * weights).sum() * temperature**2, grad


def _cross_entropy(scores: Tensor, grad: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Return the weighted sum of the cross-entropies where there are labels; add its gradient to `grad`."""
    (places,) = torch.nonzero(labels >= 0, as_tuple=True)
    right = labels[places]
    ours = scores[places].log_softmax(-1)
    chosen = ours.gather(1, right[:, None]).sum()
    slope = ours.exp_()
    slope[torch.arange(len(right), device=right.device), right] -= 1
    grad[places] += weight * slope
    return -weight * chosen

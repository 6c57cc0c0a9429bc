"""The loss of MLM logits against the formulas written out, and its gradients against autograd's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from wellread.learn.distill import layers
from wellread.learn.distill.layers import LogitFactors, mlm_logit_loss

torch.set_num_threads(1)
N, V, D = 11, 23, 8


def drawn(seed: int, *, width: int = D) -> LogitFactors:
    generator = torch.Generator().manual_seed(seed)
    x, table, bias = (torch.randn(*shape, generator=generator) for shape in ((N, width), (V, width), (V,)))
    return LogitFactors(x=x.requires_grad_(), table=table.requires_grad_(), bias=bias.requires_grad_())


def wanted(**changes: object) -> dict[str, object]:
    labels = torch.full((N,), -1)
    labels[torch.tensor([1, 4, 10])] = torch.tensor([7, 0, 22])
    return {"weights": torch.full((N,), 5.0), "labels": labels, "label_weight": 2.0, "temperature": 2.0, **changes}


def plain(student: LogitFactors, teacher: LogitFactors, want: dict[str, object]) -> torch.Tensor:
    """As distillation scripts write it: KLDivLoss with batchmean times T squared, and cross-entropy, both as sums."""
    ours, theirs = (part.x @ part.table.T + part.bias for part in (student, teacher))
    t = want["temperature"]
    total = torch.zeros(())
    for token in range(N):
        a, b = (ours[token : token + 1] / t).log_softmax(-1), (theirs[token : token + 1] / t).softmax(-1)
        total = total + want["weights"][token] * functional.kl_div(a, b.detach(), reduction="batchmean") * t**2
    return total + want["label_weight"] * functional.cross_entropy(
        ours, want["labels"], ignore_index=-1, reduction="sum"
    )


@pytest.mark.parametrize("tokens", [3, 256], ids=["in parts", "at once"])
@pytest.mark.parametrize(
    "changes", [{}, {"temperature": 1.0}, {"weights": torch.arange(N) * 0.3}, {"label_weight": 0.0}]
)
def test_loss_and_gradients_are_those_of_the_plain_formulas(monkeypatch, tokens, changes):
    monkeypatch.setattr(layers, "TOKENS", tokens)
    want, teacher = wanted(**changes), drawn(1, width=5)
    ours, theirs = drawn(0), drawn(0)
    made, expected = mlm_logit_loss(ours, teacher, **want), plain(theirs, teacher, want)
    assert made.item() == pytest.approx(expected.item(), rel=1e-5)
    (3 * made).backward()
    (3 * expected).backward()
    for name in ("x", "table", "bias"):
        grad, true = getattr(ours, name).grad, getattr(theirs, name).grad
        assert (grad - true).abs().max() < 1e-5 * true.abs().max(), name
    assert teacher.x.grad is None


def test_no_labels_are_no_cross_entropy():
    want = wanted(labels=torch.full((N,), -1))
    student, teacher = drawn(0), drawn(1)
    assert mlm_logit_loss(student, teacher, **want).item() == pytest.approx(
        plain(student, teacher, want).item(), rel=1e-5
    )


def test_under_autocast_products_are_of_bfloat16():
    student, teacher = drawn(0), drawn(1)
    with torch.autocast("cpu", torch.bfloat16):
        made = mlm_logit_loss(student, teacher, **wanted())
    expected = plain(student, teacher, wanted()).item()
    assert made.dtype == torch.float32
    assert made.item() == pytest.approx(expected, rel=2e-2)
    assert made.item() != mlm_logit_loss(student, teacher, **wanted()).item()
    made.backward()
    assert student.x.grad.dtype == torch.float32


def test_a_table_that_is_frozen_gets_no_gradient():
    student, teacher = drawn(0), drawn(1)
    student.table.requires_grad = False
    mlm_logit_loss(student, teacher, **wanted()).backward()
    assert student.table.grad is None
    assert student.x.grad is not None

"""The PyTorch backend: an `nn.Module` with named parameters, for training and for GPUs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wellread.backends.backend import Backend, Inputs, Outputs, convert_outputs
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import EncoderConfig, HeadConfig, SentenceConfig
from wellread.encoder.heads import run

MASKED = -1e30  # swallows any score whole; see the NumPy backend
FATES = 65_536  # values of the 16 bits that decide on an element in dropout
WORDS = "embeddings.word_embeddings.weight"

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "softplus": functional.softplus,
    "mish": functional.mish,
    "selu": functional.selu,
    "relu6": functional.relu6,
    "softsign": functional.softsign,
    "hardtanh": functional.hardtanh,
    "hardswish": functional.hardswish,
}


def dropped(x: Tensor, rate: float) -> Tensor:
    """Drop elements of x at `rate`, and scale the others so that the mean stays.

    On a CPU torch draws an element's fate in the time of a hundred multiplications. Here 16 bits of torch's generator
    decide it: `rate` is rounded to a 65,536th, and the scale is the exact inverse of what is kept.
    """
    if x.device.type != "cpu":
        return functional.dropout(x, rate)
    below = min(round(rate * FATES), FATES - 1)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    scale = torch.ge(bits[: x.numel()].view(x.shape), below - FATES // 2, out=torch.empty(x.shape, dtype=x.dtype))
    return x * scale.mul_(FATES / (FATES - below))


class TorchOps:
    """The primitives over the parameters of `owner`; dropout follows its training mode."""

    def __init__(self, owner: nn.Module) -> None:
        """Take weights from `owner` by name."""
        self.owner = owner
        self.weights = dict(owner.named_parameters())  # anew for every batch: they may be replaced in between

    def weight(self, name: str) -> Tensor:
        return self.weights[name]

    def embedding(self, ids: Tensor, name: str) -> Tensor:
        table = self.weight(name)
        sparse = name == WORDS and isinstance(self.owner, TorchEncoder) and self.owner.sparse_words
        return functional.embedding(ids.long(), table, sparse=sparse)

    def positions(self, ids: Tensor, name: str, offset: int) -> Tensor:
        if not offset:
            return self.weight(name)[: ids.shape[1]]
        real = ids != offset - 1
        return functional.embedding(real.cumsum(1) * real + (offset - 1), self.weight(name))

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        return dropped(x, rate) if rate and self.owner.training else x

    def linear(self, x: Tensor, name: str) -> Tensor:
        bias = f"{name}.bias"
        return functional.linear(x, self.weight(f"{name}.weight"), self.weights.get(bias))

    def logits(self, x: Tensor, table: str, bias: str) -> Tensor:
        return functional.linear(x, self.weight(table), self.weight(bias))

    def layer_norm(self, x: Tensor, name: str, eps: float) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), eps)

    def activation(self, x: Tensor, kind: str) -> Tensor:
        return ACTIVATIONS[kind](x)

    def mask_bias(self, mask: Tensor) -> Tensor:
        return (1 - mask[:, None, None, :].to(self.weight("embeddings.LayerNorm.weight").dtype)) * MASKED

    def relative_bias(self, bias: Tensor, queries: Tensor, buckets: NDArray[np.int32], name: str) -> Tensor:
        chosen = torch.from_numpy(buckets[: queries.shape[1], : bias.shape[-1]].copy()).to(bias.device)
        return bias + functional.embedding(chosen, self.weight(name)).permute(2, 0, 1)

    def attention(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, *, heads: int, rate: float, name: str
    ) -> Tensor:
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
        rate = rate if self.owner.training else 0.0
        # On a CPU torch's own kernel has no fast dropout, and its gradient is not that of uniform attention where a
        # row is masked everywhere: -1e30 swallows the logarithm of the sum that it is computed from.
        if q.device.type == "cpu" and torch.is_grad_enabled():
            scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + bias.to(q.dtype)
            mixed = self.dropout(scores.softmax(-1), rate) @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, bias.to(q.dtype), dropout_p=rate)
        return mixed.transpose(1, 2).flatten(2)

    def first(self, x: Tensor) -> Tensor:
        return x[:, :1]

    def squeeze(self, x: Tensor) -> Tensor:
        return x.squeeze(1)

    def gather_rows(self, x: Tensor, positions: Tensor) -> Tensor:
        return x.gather(1, positions.long()[:, :, None].expand(-1, -1, x.shape[-1]))

    def ramp(self, mask: Tensor) -> Tensor:
        return mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)

    def argmax(self, numbers: Tensor) -> Tensor:
        return numbers.argmax(1, keepdim=True)

    def mean(self, x: Tensor, weights: Tensor, *, root: bool = False) -> Tensor:
        shares = weights[:, :, None].to(x.dtype)
        total = shares.sum(1).clamp(min=1e-9)
        return (x * shares).sum(1) / (total.sqrt() if root else total)

    def max(self, x: Tensor, mask: Tensor) -> Tensor:
        inside = mask[:, :, None].to(x.dtype)
        return (x * inside + (1 - inside) * MASKED).amax(1) * inside.amax(1)

    def concat(self, vectors: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(vectors), -1)

    def normalize(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=-1, eps=1e-12)


class TorchEncoder(nn.Module):
    """Encoder and heads as a PyTorch module; parameters bear the checkpoint's tensor names."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Copy every tensor of `checkpoint` into a parameter."""
        super().__init__()
        self.encoder_config: EncoderConfig = checkpoint.config
        self.sentence_config: SentenceConfig = checkpoint.sentence
        self.head_config: HeadConfig | None = checkpoint.head
        self.sparse_words = False  # whether looking words up gives their table a sparse gradient
        for name, tensor in checkpoint.tensors.items():
            place(self, name, tensor.read())

    def forward(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor | list[Tensor]]:
        """Return the named outputs for int32 or int64 inputs [B, T] on the module's device."""
        configs = (self.encoder_config, self.sentence_config)
        return run(TorchOps(self), *configs, inputs, outputs=outputs, head=self.head_config)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Copy the parameters out, by name."""
        return {name: p.detach().to("cpu", torch.float32).numpy().copy() for name, p in self.named_parameters()}


def own_device() -> str:
    """Name where this backend computes: on CUDA where there is a device, else on the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def as_tensors(vectors: Any) -> Any:
    """Turn an array, or a list of arrays, into tensors on the CPU that share its memory."""
    return list(map(torch.from_numpy, vectors)) if isinstance(vectors, list) else torch.from_numpy(vectors)


def place(root: nn.Module, name: str, array: NDArray[np.generic]) -> None:
    """Register a copy of `array` as a parameter under a dotted name, with containers on the way."""
    *path, leaf = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.register_parameter(leaf, nn.Parameter(torch.from_numpy(np.array(array, np.float32))))


class TorchBackend(Backend):
    """A checkpoint on PyTorch, on CUDA where there is a device, else on the CPU."""

    name = "torch"

    def __init__(self, checkpoint: Checkpoint, precision: str, device: str) -> None:
        """Move the weights to `device`."""
        self.precision = precision
        self.device = device
        self.encoder = TorchEncoder(checkpoint).eval().to(device)

    @torch.inference_mode()
    def run(self, inputs: Inputs, outputs: Sequence[str]) -> Outputs:
        """Run one batch; outputs are float32."""
        tensors = {name: torch.from_numpy(np.asarray(array)).to(self.device) for name, array in inputs.items()}
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            computed = self.encoder(tensors, outputs)
        return convert_outputs(computed, lambda x: x.float().cpu().numpy())


def load(checkpoint: Checkpoint, *, precision: str) -> Backend:
    """Prepare a checkpoint in `precision`."""
    return TorchBackend(checkpoint, precision, own_device())

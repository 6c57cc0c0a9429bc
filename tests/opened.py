"""What transformers makes of a directory, whatever its version; run by itself, of several, into a file each.

python opened.py texts.json directory output.npz ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

FEW = 4  # rows whose word scores are computed: they are as many as the vocabulary


def opened(directory: Path, texts: list[str]) -> dict[str, Any]:
    """Open tokenizer and models by their Auto classes alone; tokenize the texts, pad them, run the models."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    encoder = transformers.AutoModel.from_pretrained(directory).eval()
    head = transformers.AutoModelForMaskedLM.from_pretrained(directory).eval()
    with torch.no_grad():
        out = encoder(**batch)
        logits = head(**{name: tensor[:FEW] for name, tensor in batch.items()}).logits
    made = {name: tensor.numpy() for name, tensor in batch.items()}
    if getattr(out, "pooler_output", None) is not None:
        made["pooled_output"] = out.pooler_output.numpy()
    made |= {"sequence_output": out.last_hidden_state.numpy(), "mlm_logits": logits.numpy()}
    pair = tokenizer(texts[0], texts[1], truncation=True)
    return {**made, "pair": np.array(pair["input_ids"]), "length": tokenizer.model_max_length}


if __name__ == "__main__":
    texts, *places = sys.argv[1:]
    for directory, output in zip(places[::2], places[1::2], strict=True):
        made = opened(Path(directory), json.loads(Path(texts).read_text("utf-8")))
        np.savez(output, version=transformers.__version__, **made)

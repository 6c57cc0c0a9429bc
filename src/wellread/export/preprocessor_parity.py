"""The ids of an exported preprocessor beside those of our own text rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellread.encoder.encoder import INPUTS
from wellread.errors import ExportError
from wellread.export.dialect import SEQ_LENGTH
from wellread.export.encoder_parity import Array
from wellread.text.pack import bert_pack_inputs
from wellread.text.ragged import Ragged
from wellread.text.sentencepiece import SentencePieceEngine
from wellread.text.tokenizer import Tokenizer

EVERY = 10  # the consumer does on every tenth text what it need not do on all
MAX_TIES = 0.015  # share of texts that SentencePiece's builds may cut differently, scores being equal
SAME_SCORE = 1e-3  # log-probabilities of whole texts, in float32


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessorParity:
    """How near the exported preprocessor is to our own text rules."""

    texts: int
    ties: int  # texts cut differently at exactly the same score


def compare_preprocessor(
    tokenizer: Tokenizer, texts: list[str], made: Mapping[str, Array], report: Mapping[str, Any]
) -> PreprocessorParity:
    ours = tokenizer.tokenize(texts)
    theirs = Ragged(values=made["values"], splits=made["splits"])
    different = {i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if not np.array_equal(a, b)}
    ties = {i for i in different if _is_tie(tokenizer, ours[i], theirs[i])}
    faults = [
        f"{texts[i][:40]!r} became {theirs[i].tolist()[:8]}, not {ours[i].tolist()[:8]}" for i in different - ties
    ]
    if len(ties) > MAX_TIES * len(texts):
        faults.append(f"{len(ties)} of {len(texts)} texts were cut differently at the same score")
    if report["special_tokens"] != tokenizer.get_special_tokens_dict():
        faults.append(f"the special tokens are {report['special_tokens']}, not {tokenizer.get_special_tokens_dict()}")
    if not np.array_equal(made["some_values"], theirs.take(range(0, len(texts), EVERY)).values):
        faults.append("tokenize_with_offsets gives other tokens than tokenize")
    faults += _packing_faults(tokenizer, theirs, made)
    if faults:
        raise ExportError(
            f"the exported preprocessor must give the ids of the {tokenizer.config.dialect} dialect on {len(texts)} "
            f"texts; found {len(faults)} faults: {'; '.join(faults[:4])}; nothing was kept"
        )
    return PreprocessorParity(texts=len(texts), ties=len(ties))


def _packing_faults(tokenizer: Tokenizer, rows: Ragged, made: Mapping[str, Array]) -> list[str]:
    """Compare what was packed of these very rows, alone and in pairs."""
    backwards = rows.take(np.arange(len(rows))[::-1])
    some = bert_pack_inputs([rows.take(range(0, len(rows), EVERY))], special=tokenizer.special, seq_length=SEQ_LENGTH)
    pair = bert_pack_inputs([rows, backwards], special=tokenizer.special, seq_length=64)
    faults = []
    for where, batch in (("some", some), ("pair", pair)):
        names = [name for name in INPUTS if f"{where}/{name}" in made]
        wrong = [name for name in names if not np.array_equal(made[f"{where}/{name}"], batch[name])]
        faults += [f"{name} of {where} texts is packed otherwise" for name in wrong]
        faults += [] if names[:2] == list(INPUTS[:2]) else [f"{where} texts lack ids or mask"]
    return faults


def _is_tie(tokenizer: Tokenizer, ours: Array, theirs: Array) -> bool:
    """Say whether two segmentations are of the same text at the same score, so that neither is the better."""
    engine = tokenizer.engine
    if not isinstance(engine, SentencePieceEngine):
        return False
    pieces = [tokenizer.pieces(ids.tolist()) for ids in (ours, theirs)]
    scores = [sum(engine.processor.get_score(engine.processor.piece_to_id(p)) for p in row) for row in pieces]
    return "".join(pieces[0]) == "".join(pieces[1]) and abs(scores[0] - scores[1]) <= SAME_SCORE

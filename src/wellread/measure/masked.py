"""How well a module guesses masked words: the perplexity and the accuracy of its masked-language-model head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wellread.bulk import TOKENS_A_BATCH, Packer
from wellread.errors import DataError
from wellread.measure.bootstrap import interval
from wellread.measure.metrics import raised
from wellread.measure.predictions import TaskScore
from wellread.module import Module
from wellread.progress import progress
from wellread.tasks.masking import Masked, mask_tokens, masking_of, row_rng
from wellread.tasks.predict import warn_cut
from wellread.text.batches import token_budget_batches


def evaluate_masked(
    module: Module, texts: Sequence[str], *, seed: int = 0, show_progress_bar: bool | None = None
) -> TaskScore:
    """Mask 15 % of the pieces of N texts, let the module guess them in float32, and score its guesses.

    Perplexity and accuracy are over all masked pieces, with intervals at 95 % over the texts. Masks are drawn from the
    seed and a text's number: any module with the same tokenizer has to guess the same. Of the chosen pieces 80 %
    become [MASK], 10 % another piece, 10 % stay (Devlin et al. 2018, section 3.1).

    Raises: InputError for a module without the head; DataError for texts without pieces.
    """
    packer = Packer(special=module.tokenizer.special, sentence=module.checkpoint.sentence)
    masking = masking_of(module.tokenizer)
    rows = module.tokenize(texts)
    kept = np.minimum(rows.lengths, packer.room)
    told = np.zeros((len(texts), 3))  # of each text: the losses' sum, right guesses, masked pieces
    with progress(len(texts), show=show_progress_bar) as advance:
        for chosen in token_budget_batches(kept + 2, max_tokens=TOKENS_A_BATCH, max_rows=TOKENS_A_BATCH):
            batch = packer.pack([rows.take(chosen)])
            masked = mask_tokens(batch, masking=masking, rng=row_rng(seed, 0, chosen))
            told[chosen] = _guessed(module, dict(batch), masked)
            advance(len(chosen))
    warn_cut(rows.lengths - kept, packer.sentence.max_seq_length)
    return _scored(told)


def _guessed(module: Module, batch: dict[str, NDArray[np.int32]], masked: Masked) -> NDArray[np.float64]:
    """Let the module guess; return of each of B rows the losses' sum, right guesses and masked pieces: [B, 3]."""
    count, tokens = masked.input_word_ids.shape
    row, column = np.divmod(masked.positions, tokens)
    number = np.arange(len(row)) - np.searchsorted(row, row)  # of a position among those of its row
    positions = np.zeros((count, int(number.max(initial=0)) + 1), np.int32)
    positions[row, number] = column
    inputs = {**batch, "input_word_ids": masked.input_word_ids, "masked_lm_positions": positions}
    logits = module.mlm(inputs, outputs=["mlm_logits"])["mlm_logits"][row, number].astype(np.float64)  # [P, V]
    best = logits.max(-1)
    right = logits[np.arange(len(row)), masked.labels]
    losses = np.log(np.exp(logits - best[:, None]).sum(-1)) + best - right
    hits = logits.argmax(-1) == masked.labels
    values = np.stack([losses, hits, np.ones(len(row))], axis=1)
    made = np.zeros((count, 3))
    np.add.at(made, row, values)
    return made


def _scored(told: NDArray[np.float64]) -> TaskScore:
    if not told[:, 2].any():
        raise DataError(
            f"masked words were asked of {len(told)} texts; they hold no piece that can be masked; name another file"
        )

    def share(column: int, rows: NDArray[np.int64]) -> float:
        total = told[rows].sum(0)
        if not total[2]:
            raise DataError("a share of masked words was asked of texts that have none; draw others")
        return float(total[column] / total[2])

    scores = {
        "perplexity": interval(lambda rows: raised(share(0, rows)), len(told)),
        "accuracy": interval(lambda rows: share(1, rows), len(told)),
    }
    return TaskScore(task="mlm", examples=len(told), scores=scores)

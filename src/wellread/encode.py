"""Rows of ids to sentence vectors or logits, in bulk: sorted by length, batched by tokens, streamed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from wellread.backends.backend import TOKENS_A_CORE, Backend, FloatArray, cpu_count
from wellread.config import SentenceConfig
from wellread.dataclass import dataclass
from wellread.encoder.heads import LOGITS_OUTPUT, POOLING_MASK, SENTENCE_OUTPUT
from wellread.encoder.inputs import refuse_nan
from wellread.errors import InputError, VocabularyWarning, nearest
from wellread.metrics.similarity import unit
from wellread.progress import progress
from wellread.schema import whole
from wellread.text.batch import Batch, Joined, Ragged, Template, chunk, refuse_long
from wellread.text.plan import Batching, PlannedBatch, plan_batches
from wellread.text.texts import one_text
from wellread.text.tokenizer import Tokenizer

Part = tuple[NDArray[np.int64], FloatArray]  # the numbers of some rows, and what was computed for them

TOKENS_A_BATCH = Batching().tokens
# Share of tokens, unknown, a letter inside a word or part of a character, above which a vocabulary cannot read texts.
# Measured on draws of 64 of the packaged lines: Korean through the English default 0.79 to 0.85, through BERT's cased
# vocabulary 0.67 to 0.84, through a byte-level one of English 0.97, a Unigram of English 0.70 to 0.82; through KoBERT
# at most 0.02, byte-level ones with Korean 0.04 to 0.14, a Unigram with Korean 0.02; English through any of them at
# most 0.03. Russian, Greek, Thai, Arabic, Hebrew and Hindi through vocabularies of others have 0.56 to 1, Chinese and
# Japanese 0.4 to 1.
UNREADABLE = 0.5
SPACES = ("▁", "Ġ")  # tokens that stand for a space, of SentencePiece and of byte-level vocabularies
IDEOGRAPHS = 0x2E80  # here and behind, a letter is a syllable or an ideograph: CJK, kana, Hangul
SAMPLE, SAMPLE_LENGTH, FEWEST_TOKENS = 64, 200, 8  # texts, characters of each, and tokens that are worth a judgement
WINDOW = 16_384  # texts that are sorted by length together; bounds memory, and padding is already small
MANY = 2_000  # texts, before which `choice` may measure what is fastest; beside fewer, that would be most of the work
VECTORS, TOKENS = "sentence_embedding", "token_embeddings"  # what `encode` gives, as sentence-transformers names it
QUANTISED = ("int8", "uint8", "binary", "ubinary")  # sentence-transformers' precisions of vectors, not of arithmetic
CORES = "encode uses every core that it may: call it as it is"
NO_PROCESSES: Mapping[str, object] = {"input": None, "output": None, "processes": []}  # a pool, for who asks for one
# Names of sentence-transformers' models that a module does not have -> what does the same.
ELSEWHERE = {
    "encode_multi_process": CORES,
    **dict.fromkeys(("cuda", "half", "bfloat16"), 'load it with backend="torch", or pass precision= to encode'),
    "train": "a loaded module only infers; wellread.finetune trains one",
    **dict.fromkeys(("fit", "old_fit"), "wellread.finetune trains a module"),
    **dict.fromkeys(("preprocess", "smart_batching_collate"), "call tokenize, then bert_pack_inputs"),
    **dict.fromkeys(("forward", "auto_model", "transformers_model"), "call the module: module(texts, outputs=[...])"),
    "save_to_hub": "call push_to_hub",
}


class EncodeOptions(TypedDict, total=False):
    """What `Module.encode` takes beside its first arguments."""

    normalize_embeddings: bool
    truncate_dim: int | None
    on_long: str
    device: object
    pool: object
    chunk_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packer:
    """What a row becomes before it is encoded."""

    template: Template
    sentence: SentenceConfig
    max_rows: int = TOKENS_A_BATCH  # texts of a batch at most
    chunked: bool = False  # long rows are encoded piece by piece, not cut
    truncation: str = "round_robin"  # of text.batch.TRUNCATIONS: how two segments that are too long are cut
    skipped: int = 0  # tokens at the beginning of a row, [CLS] and a prompt's, that are not pooled

    @property
    def room(self) -> int:
        """Tokens of a text that fit in beside the special ones."""
        return self.beside(1)

    @property
    def counted(self) -> int:
        """Tokens behind the cut that are counted at most: texts are read up to twice what fits in."""
        return max(1, self.room)

    def beside(self, segments: int) -> int:
        """Tokens of one or two texts together that fit in beside the special ones."""
        return self.template.room(self.sentence.max_seq_length, segments)

    def plan(self, sizes: NDArray[np.int64], batching: Batching) -> list[PlannedBatch]:
        """Divide rows of so many tokens [N], special ones included, into batches."""
        return plan_batches(sizes, batching, max_rows=self.max_rows, longest=self.sentence.max_seq_length)

    def pack(self, segments: Sequence[Ragged], length: int | None = None) -> Batch:
        """Pack the rows of a batch, padded to the length that was planned, or to the longest."""
        limit = self.sentence.max_seq_length if length is None else length
        return self.template.pack(segments, seq_length=limit, pad_to_longest=length is None, truncation=self.truncation)

    def join(self, segments: Sequence[Ragged]) -> Joined:
        """Put the rows of a batch back to back."""
        length = self.sentence.max_seq_length
        return self.template.join(segments, seq_length=length, truncation=self.truncation)

    def join_to_pool(self, pieces: Ragged, begins: NDArray[np.bool_]) -> Joined:
        """Do as `pack_to_pool`, without padding."""
        rows = self.join([pieces])
        if not self.skipped:
            return rows
        return replace(rows, pooled=(rows.columns >= self.skipped) | ~np.repeat(begins, rows.lengths))

    def pack_to_pool(self, pieces: Ragged, begins: NDArray[np.bool_], length: int) -> Mapping[str, NDArray[np.int32]]:
        """Pack rows, with a mask for the pooling where `skipped` tokens are left out of those that `begins` marks."""
        batch = self.pack([pieces], length)
        if not self.skipped:
            return batch
        columns = np.arange(batch.input_mask.shape[1])
        left_out = (columns < self.skipped) & begins[:, None]
        return {**batch, POOLING_MASK: np.where(left_out, 0, batch.input_mask)}

    def without_prompt(self, tokenizer: Tokenizer, prompt: str) -> Packer:
        """Return the packer of texts behind `prompt`, which is not pooled where the module says so.

        As sentence-transformers counts: the prompt's row of its own, without the special token at its end.
        """
        if self.sentence.include_prompt or not prompt:
            return self
        batch = self.pack([tokenizer.tokenize([prompt])])
        tokens = int(batch.input_mask.sum())
        last = int(batch.input_word_ids[0, tokens - 1])
        special = {getattr(tokenizer.special, field.name) for field in fields(tokenizer.special)}
        return replace(self, skipped=tokens - (last in special))


def prompt_of(sentence: SentenceConfig, name: str | None, prompt: str | None) -> str:
    """Return what is put before each text: `prompt`, or the module's own of that name. Raises: InputError."""
    if prompt is not None:
        return one_text(prompt, what="a prompt for all texts")
    if not isinstance(name, str | None):
        raise InputError(f"prompt_name= takes the name of one prompt; found {name!r}; pass a str")
    name = name if name is not None else sentence.default_prompt_name
    if name is not None and name not in sentence.prompts:
        raise InputError(
            f"the prompt {name!r} was asked for; this module has {', '.join(sentence.prompts) or 'none'}; choose "
            f"one, leave prompt_name= out, or pass the words themselves as prompt={nearest(name, sentence.prompts)}"
        )
    return sentence.prompts[name] if name is not None else ""


def encode_texts(
    texts: Sequence[str],
    backend: Backend,
    tokenizer: Tokenizer,
    packer: Packer,
    *,
    width: int,
    prompt: str = "",
    refuse: bool = False,
    show: bool | None = None,
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Turn N texts into vectors [N, width], a window of them at a time; return with them the tokens cut of each [N].

    Where texts may be cut, none is read further than to count `packer.counted` tokens behind the cut.
    `prompt` is put before each. Raises: TextError for texts that cannot be read, or are too long where `refuse` is set.
    """
    warn_unreadable(tokenizer, texts)
    packer = packer.without_prompt(tokenizer, prompt)
    limit = None if refuse or packer.chunked else packer.room + packer.counted
    vectors, truncated = np.empty((len(texts), width), np.float32), np.zeros(len(texts), np.int64)
    with progress(len(texts), show=show) as advance:
        for start in range(0, len(texts), WINDOW):
            window = slice(start, start + WINDOW)
            given = [prompt + text for text in texts[window]] if prompt else texts[window]
            rows = tokenizer.tokenize(given, limit=limit)
            if refuse:
                refuse_long(rows.lengths, packer.room, packer.sentence.max_seq_length, first_row=start)
            vectors[window], truncated[window] = encode_rows(backend, rows, packer, advance=advance)
    return vectors, truncated


def warn_unreadable(tokenizer: Tokenizer, texts: Sequence[str], *, stacklevel: int = 4) -> None:
    """Warn where the vocabulary has no words of these texts, as an English one has none of Korean.

    Only the first texts are looked at, and only where most of their letters are not ASCII: numbers and emoji say
    nothing.
    """
    sample = [text[:SAMPLE_LENGTH] for text in texts[:SAMPLE]]
    letters = "" if all(map(str.isascii, sample)) else "".join(filter(str.isalpha, "".join(sample)))
    if sum(not letter.isascii() for letter in letters) * 2 <= len(letters):
        return
    readings = [readable(tokenizer, text) for text in sample]
    count, share = sum(map(len, readings)), 1 - sum(map(sum, readings)) / max(1, sum(map(len, readings)))
    if count >= FEWEST_TOKENS and share > UNREADABLE:
        warnings.warn(
            # in tens, so that windows of one corpus give one warning
            f"a vocabulary of the texts' language was expected; over {min(int(share * 10), 9)}0 % of the tokens of the "
            f"first texts ({len(sample)} looked at) are unknown or letters inside a word, or parts of one; their "
            "vectors mean little: load a module of that language (wellread catalog --language ko lists those for "
            "Korean)",
            VocabularyWarning,
            stacklevel=stacklevel,
        )


def readable(tokenizer: Tokenizer, text: str) -> list[bool]:
    """Say of each token of a text whether it is one that a vocabulary of its language has; spaces are left out.

    None are the unknown token; a letter inside a word (WordPiece writes "##x"); and what shares a character with its
    neighbour, as the bytes of a byte-level vocabulary do. Syllables and ideographs by themselves are pieces, and no
    sign: KoBERT has the ones, Chinese vocabularies the others.
    """
    spans = tokenizer.engine.spans(text)
    pieces = tokenizer.pieces(spans.ids.tolist())
    starts, limits = spans.starts.tolist(), spans.limits.tolist()
    before, after = [0, *limits[:-1]], [*starts[1:], len(text)]
    of_bytes = not any(piece.startswith("##") for piece in pieces)  # WordPiece may cut a syllable into its letters
    tokens: list[bool] = []
    for number, (piece, start, limit) in enumerate(zip(pieces, starts, limits, strict=True)):
        if piece in SPACES:
            continue
        if piece.startswith("##"):
            bad = len(piece) == 3 and piece[2].isalpha() and not piece.isascii()
        else:
            inside = limit == start + 1 and text[start].isalpha() and text[max(0, start - 1)].isalpha() and start > 0
            shared = of_bytes and limit - start <= 2 and (start < before[number] or limit > after[number])
            bad = shared or (inside and 0x7F < ord(text[start]) < IDEOGRAPHS)
        tokens.append(not bad and piece != tokenizer.config.unk_token)
    return tokens


def encode_rows(
    backend: Backend, rows: Ragged, packer: Packer, *, advance: Callable[[int], None]
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Turn N rows of ids into vectors [N, E]; return with them the tokens cut of each [N].

    `advance` is told how many rows are done.
    """
    pieces, source = chunk(rows, packer.room) if packer.chunked else (rows, np.arange(len(rows), dtype=np.int64))
    lengths = np.minimum(pieces.lengths, packer.room)
    begins = np.append(True, source[1:] != source[:-1])  # where a row begins, and with it its prompt
    vectors: FloatArray | None = None
    for numbers, values in sentence_vectors(backend, pieces, lengths, packer, begins):
        refuse_nan({SENTENCE_OUTPUT: values})
        if vectors is None:
            vectors = np.empty((len(pieces), values.shape[1]), np.float32)
        vectors[numbers] = values
        advance(0 if packer.chunked else len(values))
    assert vectors is not None
    if not packer.chunked:
        return vectors, pieces.lengths - lengths
    advance(len(rows))
    # the mean over the pieces of each row, weighted by their tokens; an empty text counts as one
    weights = np.maximum(lengths - packer.skipped * begins, 1).astype(np.float32)
    totals = np.zeros((len(rows), vectors.shape[1]), np.float32)
    np.add.at(totals, source, vectors * weights[:, None])
    means: FloatArray = totals / np.bincount(source, weights, len(rows)).astype(np.float32)[:, None]
    return unit(means) if packer.sentence.normalize else means, np.zeros(len(rows), np.int64)


def sentence_vectors(
    backend: Backend, rows: Ragged, lengths: NDArray[np.int64], packer: Packer, begins: NDArray[np.bool_]
) -> Iterator[Part]:
    """Yield the numbers [B] and the vectors [B, E] of some of N rows, in any order, until all were there.

    `lengths` [N] is what of each row fits in; `begins` says where a text begins.
    """
    sizes = lengths + packer.template.overhead()
    if backend.takes_joined(SENTENCE_OUTPUT):
        for part in consecutive(sizes):
            joined = packer.join_to_pool(rows.part(part), begins[part])
            yield np.arange(part.start, part.stop), backend.run_joined(joined, SENTENCE_OUTPUT)
        return
    plan = packer.plan(sizes, backend.batching)
    batches = (packer.pack_to_pool(rows.take(each.rows), begins[each.rows], each.length) for each in plan)
    for item in backend.stream(batches, SENTENCE_OUTPUT):
        yield plan[item.index].rows, item.value


def consecutive(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Divide rows of so many tokens [N], in their order, in parts of some thousands of tokens for each core.

    >>> [(part.start, part.stop) for part in consecutive(np.full(3, TOKENS_A_CORE * cpu_count()))]
    [(0, 1), (1, 2), (2, 3)]
    """
    limit = TOKENS_A_CORE * cpu_count()
    behind = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        before = int(behind[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(behind, before + limit, side="right")))
        yield slice(begin, end)
        begin = end


def logits_of(backend: Backend, segments: Sequence[Ragged], packer: Packer) -> Iterator[Part]:
    """Yield, of N rows of one or two segments, the numbers [B] and the logits [B, C] or [B, T, C] of each batch.

    Batches come in any order.
    """
    total = np.sum([segment.lengths for segment in segments], axis=0)
    lengths = np.minimum(total + packer.template.overhead(len(segments)), packer.sentence.max_seq_length)
    if backend.takes_joined(LOGITS_OUTPUT):
        for part in consecutive(lengths):
            logits = backend.run_joined(packer.join([segment.part(part) for segment in segments]), LOGITS_OUTPUT)
            refuse_nan({LOGITS_OUTPUT: logits})
            yield np.arange(part.start, part.stop), logits
        return
    plan = packer.plan(lengths, backend.batching)
    batches = (packer.pack([segment.take(each.rows) for segment in segments], each.length) for each in plan)
    for item in backend.stream(batches, LOGITS_OUTPUT):
        refuse_nan({LOGITS_OUTPUT: item.value})
        yield plan[item.index].rows, item.value


def encode_tokens(
    texts: Sequence[str],
    backend: Backend,
    tokenizer: Tokenizer,
    packer: Packer,
    *,
    prompt: str = "",
    refuse: bool = False,
    show: bool | None = None,
) -> tuple[list[FloatArray], NDArray[np.int64]]:
    """Turn N texts into the last hidden states of each [T, D], special tokens included, and the tokens cut of each [N].

    Raises: InputError for a packer that cuts texts into pieces; TextError as `encode_texts`.
    """
    if packer.chunked:
        raise InputError(f'{TOKENS} are of whole texts; found on_long="chunk"; pass "truncate" or "error"')
    warn_unreadable(tokenizer, texts)
    rows = tokenizer.tokenize([prompt + text for text in texts])
    if refuse:
        refuse_long(rows.lengths, packer.room, packer.sentence.max_seq_length)
    sizes = np.minimum(rows.lengths, packer.room) + packer.template.overhead()
    tokens: list[FloatArray] = [np.empty(0)] * len(rows)
    with progress(len(texts), show=show) as advance:
        for numbers, states in hidden_states(backend, rows, sizes, packer):
            for number, each in zip(numbers, states, strict=True):
                refuse_nan({TOKENS: each})
                tokens[number] = np.array(each, np.float32)
            advance(len(numbers))
    return tokens, rows.lengths + packer.template.overhead() - sizes


def hidden_states(
    backend: Backend, rows: Ragged, sizes: NDArray[np.int64], packer: Packer
) -> Iterator[tuple[NDArray[np.int64], Sequence[FloatArray]]]:
    """Yield the numbers [B] and the last hidden states, B of [T, D], of some of N rows of `sizes` [N] tokens each."""
    if backend.takes_joined("sequence_output"):
        for part in consecutive(sizes):
            joined = packer.join([rows.part(part)])
            states = backend.run_joined(joined, "sequence_output")
            yield np.arange(part.start, part.stop), np.split(states, joined.splits[1:-1])
        return
    plan = packer.plan(sizes, backend.batching)
    batches = (packer.pack([rows.take(each.rows)], each.length) for each in plan)
    for item in backend.stream(batches, "sequence_output"):
        numbers = plan[item.index].rows
        yield numbers, [states[:size] for states, size in zip(item.value, sizes[numbers], strict=True)]


def check_device(device: object, backend: str, own: str) -> None:
    """Refuse a device that the backend does not compute on, alone or in a list; its `own` is "cpu" or "cuda".

    Raises: InputError.
    """
    if isinstance(device, list | tuple):
        for each in device:
            check_device(each, backend, own)
        return
    if device is not None and str(device).partition(":")[0] != own:
        advice = (
            "leave device= out, or load it with another backend"
            if backend == "torch"
            else 'load the module with backend="torch", which takes the GPU where there is one'
        )
        raise InputError(
            f"device={str(device)!r} was asked for; the {backend} backend computes on {own} here; {advice}"
        )


def check_like(precision: str | None, output_value: str | None, pool: object) -> None:
    """Refuse what sentence-transformers' `encode` takes and a module does not, and say what does the same.

    Raises: InputError.
    """
    if output_value not in (VECTORS, TOKENS):
        raise InputError(
            f"output_value is {VECTORS} or {TOKENS}; found {output_value!r}; module(texts, outputs=[...]) gives every "
            "output of the encoder"
        )
    if pool is not None:
        check_pool(pool)
    if precision in QUANTISED:
        raise InputError(
            f"precision is what a module computes in, such as float32; found {precision!r}, which is a form of "
            "vectors; pass what encode returns to sentence_transformers.quantize_embeddings"
        )


def check_pool(pool: object) -> None:
    """Refuse a pool that is not `Module.start_multi_process_pool`'s. Raises: InputError."""
    if pool != NO_PROCESSES:
        raise InputError(f"pool= is for processes of sentence-transformers; found {type(pool).__name__}; {CORES}")


class Scores:
    """Where evaluators of sentence-transformers put their scores, beside returning them: nothing is kept."""

    def set_evaluation_metrics(self, *scores: object, **more: object) -> None:
        """Take scores."""


def postprocess(vectors: FloatArray, *, truncate_dim: int | None = None, normalize: bool = False) -> FloatArray:
    """Keep the first dimensions of vectors [N, E], and scale them to length 1. Raises: InputError."""
    width = vectors.shape[1]
    if truncate_dim is not None and not 1 <= (whole(truncate_dim) or 0) <= width:
        raise InputError(f"truncate_dim must be 1 to {width}; found {truncate_dim!r}; choose one of these")
    vectors = vectors[:, :truncate_dim]
    return unit(vectors) if normalize else vectors

"""The `fast` dialect: whatever text rules a tokenizers.Tokenizer holds, run by the tokenizers library itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import normalizers

from wellread.config import TEMPLATES, TemplateConfig, TokenizerConfig
from wellread.errors import TextError
from wellread.text.batch import Ragged, Template
from wellread.text.lazy import Lazy
from wellread.text.native_wordpiece import NativeWordPiece, WordRules
from wellread.text.post_processor import read_template
from wellread.text.tokenizer import Spans, Tokenizer, places
from wellread.text.tokenizer_check import check_content, parse_content
from wellread.text.tokenizer_json import NAME
from wellread.text.vocabulary import Vocabulary, by_id, read_bounded
from wellread.text.wordpiece import cut_characters, moves, ragged_of


def load(directory: Path, config: TokenizerConfig) -> Tokenizer:
    """Load the `tokenizer.json` that `config` names from `directory`.

    Raises: TextError for a file that is missing or damaged, or lacks a special token.
    """
    path = directory / str(config.vocab_file)
    raw = read_bounded(path, "tokenizer")
    check_content(parse_content(raw, source=path), source=path)
    return from_library(parse_library(raw, source=path), config, source=path)


def parse_library(raw: bytes, *, source: object) -> tokenizers.Tokenizer:
    """Parse a `tokenizer.json`. Raises: TextError for one that the tokenizers library does not read."""
    with translated(f"{source} was to be read as a tokenizer.json"):
        return tokenizers.Tokenizer.from_buffer(raw)


def from_library(
    library: tokenizers.Tokenizer, config: TokenizerConfig, *, source: object = "the tokenizer"
) -> Tokenizer:
    """Make a tokenizer of one of the library's, with the special tokens and the template that `config` names.

    Truncation and padding of `library` are taken away: rows are cut and padded by the template.

    Raises: TextError for ids that are none, or a special token that is missing.
    """
    library.no_truncation()
    library.no_padding()
    if config.dialect == "fast" and config.do_lower_case:
        _lower_first(library)
    pieces = by_id(library.get_vocab(with_added_tokens=True), source=source)
    vocabulary = Vocabulary.of(pieces, config, source=str(source))
    return Tokenizer(config=config, vocabulary=vocabulary, engine=FastEngine(library=library))


def of_library(
    library: tokenizers.Tokenizer, special: Mapping[str, str | None], *, source: object = "the tokenizer"
) -> Tokenizer:
    """Make a tokenizer of one of the library's; its post-processor says where special tokens stand.

    `special` names the tokens (`unk_token`, `pad_token`, `cls_token`, `sep_token`, `mask_token`); one that is left out
    is not there.

    Raises: ConfigError for a post-processor that no row has; TextError as `from_library`.

    >>> model = tokenizers.models.WordLevel({"<unk>": 0, "guitar": 1}, unk_token="<unk>")
    >>> tokenizer = of_library(tokenizers.Tokenizer(model), {"unk_token": "<unk>"})
    >>> tokenizer.tokenize(["guitar"]).to_list(), tokenizer.template.overhead()
    ([[1]], 0)
    """
    config = TokenizerConfig(
        dialect="fast",
        vocab_file=NAME,
        unk_token=special.get("unk_token"),
        pad_token=special.get("pad_token"),
        cls_token=special.get("cls_token"),
        sep_token=special.get("sep_token"),
        mask_token=special.get("mask_token"),
        template=template_of(library, source=source),
    )
    return named_template(from_library(library, config, source=source))


def _lower_first(library: tokenizers.Tokenizer) -> None:
    """Lower the case before all other rules, once."""
    rules = library.normalizer
    first = normalizers.Lowercase()
    state = {} if rules is None else json.loads(rules.__getstate__())
    steps = state.get("normalizers") or [state]
    if steps[0].get("type") != "Lowercase":
        library.normalizer = first if rules is None else normalizers.Sequence([first, rules])


def template_of(library: tokenizers.Tokenizer, *, source: object) -> TemplateConfig:
    """Read the template off the library's post-processor. Raises: ConfigError."""
    processor = library.post_processor
    state = None if processor is None else json.loads(processor.__getstate__())
    return read_template(state, library.token_to_id, source=source)


def named_template(tokenizer: Tokenizer) -> Tokenizer:
    """Give a tokenizer's template the name of TEMPLATES that stands for the same rows, if there is one."""
    special = tokenizer.special
    if special.cls is None or special.sep is None:
        return tokenizer
    written = tokenizer.template
    same = [name for name in TEMPLATES if Template.of(name, special) == written]
    return replace(tokenizer, config=replace(tokenizer.config, template=same[0])) if same else tokenizer


@contextmanager
def translated(attempt: str) -> Iterator[None]:
    """Turn what the library raises into TextError, a panic of its own (which is no Exception) included."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, TextError) or not (isinstance(error, Exception) or type(error).__name__ == PANIC):
            raise
        found = str(error) or type(error).__name__
        raise TextError(f"{attempt}; the tokenizers library found: {found[:300]}; fetch the file again") from None


PANIC = "PanicException"  # of the library's Rust; no module that one could import exports it


@dataclass(frozen=True, kw_only=True, eq=False)
class FastEngine:
    """The library's own implementation. Offsets are those it gives, with the spaces that its rules count or trim.

    Where its parts are BERT's, the native library gives the same ids.
    """

    library: tokenizers.Tokenizer

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: the rest is made again."""
        return {"library": self.library}

    @property
    def word_rules(self) -> WordRules | None:
        """The rules as data, where they are BERT's."""
        return _bert_rules(self.library)

    @Lazy
    def native(self) -> NativeWordPiece | None:
        """The native library with these rules, where it is there and knows them."""
        rules = self.word_rules
        if rules is None:
            return None
        ids = self.library.get_vocab(with_added_tokens=False)
        pieces = by_id(ids, source="the model") if ids else []
        return NativeWordPiece.of(pieces, rules, unknown=ids.get(self.library.model.unk_token))

    @property
    def algorithm(self) -> str:
        """What the library calls its model: WordPiece, BPE, Unigram or WordLevel."""
        return type(self.library.model).__name__

    def encode(self, texts: list[str], limit: int | None = None) -> Ragged:
        """Turn B texts into B rows of ids."""
        native = self.native
        return self._encode(texts) if native is None else native.encode(texts, self._encode, limit)

    def _encode(self, texts: list[str]) -> Ragged:
        with translated(f"{len(texts)} texts were to be tokenised"):
            encodings = self.library.encode_batch_fast(texts, add_special_tokens=False)
        return ragged_of([encoding.ids for encoding in encodings])

    def spans(self, text: str) -> Spans:
        """Turn one text into ids and tell where they come from."""
        with translated("a text was to be tokenised"):
            encoding = self.library.encode(text, add_special_tokens=False)
        starts, limits = places(encoding.offsets).T
        return Spans(ids=np.array(encoding.ids, np.int32), starts=starts, limits=limits)

    @property
    def model(self) -> str:
        """The kind of model: BPE, Unigram, WordPiece or WordLevel."""
        return type(self.library.model).__name__

    def join(self, pieces: list[str]) -> str:
        """Turn pieces into a text."""
        decoder = self.library.decoder
        return " ".join(pieces) if decoder is None else str(decoder.decode(pieces))

    def model_bytes(self) -> bytes:
        """Return the content of tokenizer.json."""
        return self.library.to_str().encode("utf-8")


def _bert_rules(library: tokenizers.Tokenizer) -> WordRules | None:
    """Return the rules of a tokenizer whose parts are all BERT's; None for any other."""
    model, normalizer, added = library.model, library.normalizer, library.get_added_tokens_decoder().values()
    if type(model).__name__ != "WordPiece" or model.continuing_subword_prefix != "##":
        return None
    steps = [json.loads(step.__getstate__()) if step else {} for step in (normalizer, library.pre_tokenizer)]
    if [step.get("type") for step in steps] != ["BertNormalizer", "BertPreTokenizer"]:
        return None
    if library.encode_special_tokens or any(token.normalized for token in added):  # found behind the normalizer
        return None
    strips = steps[0]["lowercase"] if steps[0]["strip_accents"] is None else steps[0]["strip_accents"]
    return WordRules(
        cut=lambda characters: cut_characters(characters, normalizer),
        moves=moves if strips else lambda rule: False,
        special=[token.content for token in added],
        longest=model.max_input_chars_per_word,
        in_bytes=False,
    )

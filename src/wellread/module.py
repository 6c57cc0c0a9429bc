"""Module: what a user holds. Text in; vectors, hidden states and MLM logits out.

What `load` and `encode` do not need is imported where it is called, for the sake of start-up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from wellread.backends.backend import (
    AUTO,
    EXACT,
    INVARIANT,
    Backend,
    FloatArray,
    automatic,
    check_backend,
    check_served,
    is_installed,
    load_backend,
    precisions,
)
from wellread.backends.forks import keep_for_ever, preparing, survives, warn_of_another, was_started
from wellread.checkpoints.checkpoint import Checkpoint, in_memory
from wellread.checkpoints.directory import read_directory
from wellread.config import SentenceConfig
from wellread.encode import (
    ELSEWHERE,
    MANY,
    NO_PROCESSES,
    SAMPLE,
    TOKENS,
    TOKENS_A_BATCH,
    VECTORS,
    WINDOW,
    EncodeOptions,
    Packer,
    Scores,
    check_device,
    check_like,
    check_pool,
    encode_texts,
    encode_tokens,
    postprocess,
    prompt_of,
    warn_unreadable,
)
from wellread.encoder.heads import MLM_OUTPUT
from wellread.encoder.inputs import (
    DEFAULT_OUTPUTS,
    EncoderOutput,
    checked_batch_size,
    checked_mlm_inputs,
    checked_output_names,
    packed_inputs,
    refuse_nan,
    warn_truncated,
)
from wellread.errors import InputError, nearest
from wellread.files import own_card, public_name, refuse_existing
from wellread.hub.resolve import preprocessor_for, resolve
from wellread.metrics.similarity import similarity, similarity_pairwise
from wellread.schema import names_to_ignore, record, whole
from wellread.text.batch import Batch, Ragged, Rows, check_on_long
from wellread.text.texts import as_texts, one_text, text_rows
from wellread.text.tokenizer import RaggedOffsets, Tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wellread.hub.push import Pushed
    from wellread.tasks.fill_mask import FilledMask
    from wellread.tasks.task import Spans, Texts


def load(
    handle: str | os.PathLike[str] = "default",
    *,
    backend: str = AUTO,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    ignore: Collection[str] = (),
    tokenizer: str | os.PathLike[str] | None = None,
    trust_remote_code: bool = False,
) -> Module:
    """Load a module: `default`; a directory of wellread, Hugging Face, TF Hub or TF1, or its archive; a handle.

    Handles are those of `hub.handles`. The path may also be that of a file of the directory, or of one around it, where
    one module is meant. `backend="auto"` takes `native`, wellread's own kernel, where it computes this module, and else
    `openvino`; the module's `backend` says which. `tokenizer` names the directory or handle whose tokenizer is taken
    instead of the module's own: a module's of any kind, a preprocessor's, or a tokenizer's alone. TF Hub's DistilBERT
    modules carry none, and get that of their page. `ignore` names configuration keys and tensors to pass over, by
    themselves or by a pattern such as `crf.*`. No code of a repository ever runs, so `trust_remote_code=True` is
    refused.

    Raises: HandleError, DownloadError, CheckpointError and its kin, TextError, InputError.

    >>> import wellread
    >>> wellread.load("default").embedding_size
    384
    """
    if trust_remote_code:
        raise InputError(
            "trust_remote_code=True was given; wellread runs no code of a repository and needs none; leave it out"
        )
    check_backend(backend)
    ignore = names_to_ignore(ignore)
    where: dict[str, Any] = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
    fetched = resolve(handle, revision=revision, **where)
    tokenizer = tokenizer if tokenizer is not None else preprocessor_for(fetched)
    text = resolve(tokenizer, **where).directory if tokenizer is not None else None
    versions = {"commit": fetched.commit, "archive": fetched.archive}
    versions = {name: version for name, version in versions.items() if version is not None}
    source = read_directory(
        fetched.directory,
        ignore=ignore,
        text_from=text,
        find_base=lambda base, revision: resolve(base, revision=revision, **where).directory,
    )
    check_served(backend, source.checkpoint)
    opened = {"directory": fetched.note} if fetched.note is not None else {}
    of_file = fetched.note is not None and not os.path.isdir(os.path.expanduser(handle))
    return Module(
        checkpoint=replace(source.checkpoint, inferred={**source.checkpoint.inferred, **opened}),
        tokenizer=source.tokenizer,
        backend=backend,
        provenance={
            "handle": public_name(fetched.directory if of_file else handle),
            # of the handle above, and not of one that the module itself names
            **({} if "handle" in source.provenance else versions),
            **({"tokenizer": public_name(tokenizer)} if tokenizer is not None else {}),
            **source.provenance,
        },
    )


def from_pretrained(pretrained_model_name_or_path: str | os.PathLike[str], **options: Any) -> Module:
    """Do as `load`, by the name that Hugging Face's models have for it."""
    return load(pretrained_model_name_or_path, **options)


def push(
    module: Module | str | os.PathLike[str],
    repo_id: str,
    *,
    tokenizer: str | os.PathLike[str] | None = None,
    ignore: Collection[str] = (),
    card: str | None = None,
    **options: Any,
) -> Pushed:
    """Put a module, or what a directory or handle names, on the Hugging Face hub as `repo_id`.

    `tokenizer` and `ignore` are those of `load`, `card` and the other options those of `Module.push_to_hub`. A
    README.md of the directory that people wrote is its card.

    Raises: as `load` and `Module.push_to_hub`.
    """
    if not isinstance(module, Module):
        card = card or own_card(Path(os.path.expanduser(module)))
        module = load(module, tokenizer=tokenizer, ignore=ignore)
    return module.push_to_hub(repo_id, card=card, **options)


def _setting(name: str, doc: str) -> Any:
    """Make a property of a field of the sentence vector's configuration."""

    def read(module: Module) -> Any:
        return getattr(module.checkpoint.sentence, name)

    def write(module: Module, value: Any) -> None:
        module._set(**{name: value.value if isinstance(value, Enum) else value})  # as SimilarityFunction.COSINE

    return property(read, write, doc=doc)


def _most_rows(batch_size: int | None, backend: Backend) -> int:
    """Return how many texts a batch may have: one where its neighbours would change a text's bits, and must not."""
    return min(checked_batch_size(batch_size, TOKENS_A_BATCH), 1 if backend.precision == INVARIANT else TOKENS_A_BATCH)


def _as_tensors(values: Any) -> Any:
    check_backend("torch")
    from wellread.backends.torch import as_tensors

    return as_tensors(values)


def _as_given(vectors: Any, values: FloatArray) -> Any:
    """Return values as a tensor where they come from tensors, or a list of them, and else as they are."""
    first = vectors[0] if isinstance(vectors, list | tuple) and vectors else vectors
    return _as_tensors(values) if type(first).__module__.partition(".")[0] == "torch" else values


PREPARED = ("_backends", "_others")  # what of a module no pickle holds


@dataclass(slots=True, weakref_slot=True, kw_only=True, eq=False, repr=False)
class Module:
    """An encoder with its tokenizer, ready to run; made by `wellread.load`.

    `module(...)` computes in float32 on every machine; `encode` and `embed` in bfloat16 where the CPU has AMX and
    `precision` does not say otherwise. In `precision="exact"`, float32 too, a text's vector has the same bits whatever
    texts stand beside it, in whatever order, and however many threads there are.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    backend: str = AUTO
    provenance: Mapping[str, Any] = field(default_factory=dict)
    _automatic: str = ""  # the backend that was taken where none was named
    _backends: dict[str | None, Backend] = field(default_factory=dict)
    _others: dict[str, Backend] = field(default_factory=dict)  # what `choice.fastest` may take instead

    def __post_init__(self) -> None:
        """Refuse a tokenizer whose ids the word table does not hold; begin without the backends of another."""
        self._backends, self._others = {}, {}
        if self.backend == AUTO:
            self.backend = self._automatic = automatic(self.checkpoint)
        rows, pieces = self.checkpoint.config.vocab_size, self.tokenizer.vocab_size
        if pieces > rows:
            raise InputError(
                f"the tokenizer must not name ids that the word table lacks; found {pieces} pieces and {rows} rows; "
                "take the vocabulary that belongs to these weights, or pass ignore=['added_tokens'] where tokens were "
                "added to it alone"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: everything but the prepared backends."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name not in PREPARED}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take in a pickle or a copy; backends are prepared at the first call, on what there is on this machine."""
        for name, value in {"_automatic": "", **state, **{name: {} for name in PREPARED}}.items():
            setattr(self, name, value)
        if self.backend == "native" and not is_installed("native"):
            self.backend = self._automatic = automatic(self.checkpoint)

    def __repr__(self) -> str:
        """Say in one line what the module is."""
        return f"<wellread.Module {', '.join(self._summary().values())}>"

    def _repr_html_(self) -> str:
        """Show the module as a small table, as notebooks do."""
        import html

        rows = "".join(
            f"<tr><th>{key}</th><td>{html.escape(value)}</td></tr>" for key, value in self._summary().items()
        )
        return f"<table>{rows}</table>"

    def _summary(self) -> dict[str, str]:
        name = str(self.provenance.get("handle", "(in memory)"))
        return {"module": name, **self.checkpoint.summary(), "backend": self.backend}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say of a name of sentence-transformers' models what does the same here."""
            advice = f"; {ELSEWHERE[name]}" if name in ELSEWHERE else nearest(name, dir(type(self)))
            raise AttributeError(f"a Module has no {name}{advice}")

    @property
    def embedding_size(self) -> int:
        """Width E of a vector of `encode`."""
        return self.checkpoint.encoded_size

    @property
    def fingerprint(self) -> str:
        """A short hash of what decides the vectors of `encode`: weights, sizes, tokenizer, pooling, prompts.

        Modules that share it give the same vectors, however they are stored; what is stored beside vectors is this.
        """
        from wellread.fingerprint import fingerprint

        return fingerprint(self.checkpoint, self.tokenizer)

    @property
    def max_seq_length(self) -> int:
        """The longest text of `encode`, in tokens, special ones included; it may be set."""
        return self.checkpoint.sentence.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, length: int) -> None:
        limit = self.checkpoint.config.max_length
        number = whole(length)
        if number is None or not 3 <= number <= limit:
            raise InputError(
                f"max_seq_length must be 3 to {limit}, this module's positions; found {length!r}; choose one of these"
            )
        self._set(max_seq_length=number)

    def _set(self, **changes: Any) -> None:
        """Set fields of the sentence vector's configuration. Raises: ConfigError for values that they cannot have."""
        sentence = self.checkpoint.sentence
        record(SentenceConfig, {"prompts": dict(sentence.prompts), **changes}, source="the module")
        self.checkpoint = replace(self.checkpoint, sentence=replace(sentence, **changes))

    def __getitem__(self, index: object) -> Any:
        """Refuse the parts of a chain, which sentence-transformers' models are."""
        raise InputError(
            f"a part of the module, [{index!r}], was asked for; a Module is one piece; what its parts have is its own: "
            "module.max_seq_length, module.tokenizer"
        )

    prompts = _setting("prompts", "What may be put before texts, by name; it may be set.")
    default_prompt_name = _setting("default_prompt_name", "The prompt where none is asked for; it may be set.")
    similarity_fn_name = _setting(
        "similarity_fn_name", "What `similarity` compares by: cosine, dot, euclidean or manhattan; it may be set."
    )
    truncate_dim = _setting("truncate_dim", "How many dimensions `encode` keeps; None: all. It may be set.")

    @property
    def device(self) -> str:
        """Where `encode` computes: "cpu", or "cuda" with the torch backend where there is a GPU."""
        if self.backend != "torch":
            return "cpu"
        from wellread.backends.torch import own_device

        return own_device()

    def to(self, device: object) -> Module:
        """Return the module itself if it computes on `device`, one or many. Raises: InputError that says what does."""
        check_device(device, self.backend, self.device)
        return self

    def cpu(self) -> Module:
        """Do as `to("cpu")`."""
        return self.to("cpu")

    def eval(self) -> Module:
        """Return the module itself, which infers and nothing else."""
        return self

    def start_multi_process_pool(self, target_devices: Sequence[str] | None = None) -> dict[str, Any]:
        """Return a pool without processes for `encode(pool=...)`, which uses every core that it may by itself.

        Raises: InputError for devices that the module does not compute on.
        """
        self.to(target_devices)
        return dict(NO_PROCESSES)

    @staticmethod
    def stop_multi_process_pool(pool: Mapping[str, Any]) -> None:
        """End what `start_multi_process_pool` started: nothing. Raises: InputError for another pool."""
        check_pool(pool)

    @contextmanager
    def truncate_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Set `truncate_dim` for the time of a `with` block. Raises: ConfigError."""
        before = self.truncate_dim
        self.truncate_dim = truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    truncate_sentence_embeddings = truncate_embeddings

    def evaluate(self, evaluator: Callable[..., Any], output_path: str | None = None) -> Any:
        """Return what an evaluator of sentence-transformers measures; `wellread.evaluate` is wellread's own measure."""
        if output_path is not None:
            os.makedirs(output_path, exist_ok=True)
        return evaluator(self, output_path)

    @property
    def model_card_data(self) -> Scores:
        """What evaluators of sentence-transformers tell their scores: none are kept, for a card has wellread's own."""
        return Scores()

    def get_embedding_dimension(self) -> int:
        """Return `embedding_size`, by the name that sentence-transformers' models have for it."""
        return self.embedding_size

    def get_sentence_embedding_dimension(self) -> int:
        """Return `embedding_size`, by the older name that sentence-transformers' models have for it."""
        return self.embedding_size

    def get_max_seq_length(self) -> int:
        """Return `max_seq_length`, by the older name that sentence-transformers' models have for it."""
        return self.max_seq_length

    def info(self) -> dict[str, Any]:
        """Describe the module: shape, size, tokenizer, outputs, what of its source was ignored or inferred and why."""
        from wellread.card import describe

        return describe(self.checkpoint, self.tokenizer, self.provenance)

    def running(self, precision: str | None = None) -> Backend:
        """Return the backend in `precision` (none: its default), prepared at the first call."""
        precision = {"float32": "f32", "bfloat16": "bf16"}.get(str(precision), precision)  # as others call them
        held = self._backends.get(precision)
        if self.backend == AUTO:  # as it was set
            self.backend = self._automatic = automatic(self.checkpoint)
        name = self.backend if survives(self.backend) else automatic(self.checkpoint)
        if held is not None and held.name == name:
            return held
        with preparing(name):
            if held is not None and self._backends.get(precision) is held:
                del self._backends[precision]
                if was_started(held.name):  # to free it takes threads that a fork has ended
                    keep_for_ever(held)
            if precision not in self._backends:
                self._backends[precision] = self._prepared(name, precision)
            return self._backends[precision]

    def _running_for(self, texts: int, precision: str | None) -> Backend:
        """Return the backend of so many texts: where neither it nor a precision was named, the fastest for many."""
        default = self.running(precision)
        if precision is not None or self.backend != self._automatic or texts < MANY:
            return default
        from wellread.choice import fastest

        return fastest(self.checkpoint, self.tokenizer.template, default, texts=texts, others=self._others)

    def _prepared(self, name: str, precision: str | None) -> Backend:
        """Prepare a backend, or find it under another name of its precision."""
        if name != self.backend:
            warn_of_another(self.backend, name)
        if precision is None:
            exact = name != self.backend  # as the one in whose place it is
            precision = "f32" if exact else precisions(name, self.checkpoint)[0]
        others = {backend.precision: backend for backend in self._backends.values() if backend.name == name}
        same = others.get(EXACT.get(name, precision) if precision == INVARIANT else precision)
        return same or load_backend(name, self.checkpoint, precision=precision)

    def _exact(self) -> Backend:
        """Return the backend in its most exact precision: float32, or float64 for the reference."""
        return self.running("f64" if self.backend == "numpy" else "f32")

    def tokenize(self, texts: Sequence[str]) -> Ragged:
        """Turn B texts into B rows of ids, without special tokens."""
        return self.tokenizer.tokenize(texts if isinstance(texts, str) else as_texts(texts))

    def tokenize_with_offsets(self, texts: Sequence[str]) -> RaggedOffsets:
        """Do as `tokenize`, and tell which bytes of its text each token comes from."""
        return self.tokenizer.tokenize_with_offsets(texts if isinstance(texts, str) else as_texts(texts))

    def get_special_tokens_dict(self) -> dict[str, int]:
        """Return the ids of the special tokens, and the vocabulary's size, under TF Hub's names."""
        return self.tokenizer.get_special_tokens_dict()

    def bert_pack_inputs(self, segments: Sequence[Rows], seq_length: int = 128, *, on_long: str = "truncate") -> Batch:
        """Pack one or two segments into the encoder's inputs, int32 [B, seq_length]; see `text.pack`."""
        template = self.tokenizer.template.for_types(self.checkpoint.config.type_vocab_size)
        return template.pack(segments, seq_length=seq_length, on_long=on_long)

    def __call__(
        self,
        texts_or_inputs: str | Sequence[str] | Mapping[str, Any],
        *,
        outputs: Sequence[str] = DEFAULT_OUTPUTS,
        seq_length: int | None = None,
    ) -> EncoderOutput:
        """Run the encoder in float32 on texts, or on inputs as `bert_pack_inputs` makes them.

        Texts are cut at `seq_length` tokens (the module's own limit if none is given) and padded to the longest.
        Returns what `outputs` names of `pooled_output` [B, D], `sequence_output` [B, T, D], `encoder_outputs` (L of
        [B, T, D]), `embedding_output` [B, T, D], `cls_output` [B, D], `sentence_embedding` [B, E].

        Raises: InputError for inputs that do not fit the module, TextError for texts that cannot be read.
        """
        names = checked_output_names(outputs)
        packed = packed_inputs(self.checkpoint.config, self.tokenizer, texts_or_inputs, seq_length, self.max_seq_length)
        arrays = self._exact().run(packed, names)
        refuse_nan(arrays)
        return EncoderOutput(arrays)

    def mlm(
        self, inputs: Mapping[str, Any], *, outputs: Sequence[str] = (*DEFAULT_OUTPUTS, MLM_OUTPUT)
    ) -> EncoderOutput:
        """Run the encoder and its masked-language-model head at `inputs["masked_lm_positions"]`, int32 [B, P].

        Returns `mlm_logits` [B, P, V] beside the encoder's outputs. Positions count from 0, at [CLS].

        Raises: InputError for a module without the head and for positions outside the sequence.
        """
        self._need_mlm()
        arrays = self._exact().run(checked_mlm_inputs(self.checkpoint.config, inputs), list(outputs))
        refuse_nan(arrays)
        return EncoderOutput(arrays)

    def fill_mask(self, text: str, *, top_k: int = 5) -> list[list[FilledMask]]:
        """Guess each mask token of `text`: for every mask, the `top_k` most probable pieces.

        Raises: InputError for a module without the head, or a text without or beyond its masks.
        """
        from wellread.tasks.fill_mask import fill_masks

        self._need_mlm()
        return fill_masks(
            self.tokenizer,
            one_text(text, what="a text with masks"),
            lambda inputs: self.mlm(inputs, outputs=[MLM_OUTPUT])[MLM_OUTPUT],
            max_length=self.checkpoint.config.max_length,
            top_k=top_k,
        )

    def _need_mlm(self) -> None:
        if not self.checkpoint.has_mlm:
            raise InputError(
                "mlm_logits were asked for; this module has no masked-language-model head; "
                "load a checkpoint that was saved with one"
            )

    @overload
    def encode(
        self,
        sentences: str | Iterable[str] = ...,
        prompt_name: str | None = ...,
        prompt: str | None = ...,
        batch_size: int | None = ...,
        show_progress_bar: bool | None = ...,
        output_value: Literal["sentence_embedding"] = ...,
        precision: str | None = ...,
        convert_to_numpy: Literal[True] = ...,
        *,
        inputs: str | Iterable[str] | None = ...,
        **options: Unpack[EncodeOptions],
    ) -> FloatArray: ...

    @overload
    def encode(
        self,
        sentences: str | Iterable[str] = ...,
        prompt_name: str | None = ...,
        prompt: str | None = ...,
        batch_size: int | None = ...,
        show_progress_bar: bool | None = ...,
        output_value: Literal["sentence_embedding"] = ...,
        precision: str | None = ...,
        *,
        convert_to_numpy: Literal[False],
        inputs: str | Iterable[str] | None = ...,
        **options: Unpack[EncodeOptions],
    ) -> list[FloatArray]: ...

    @overload
    def encode(
        self,
        sentences: str | Iterable[str] = ...,
        prompt_name: str | None = ...,
        prompt: str | None = ...,
        batch_size: int | None = ...,
        show_progress_bar: bool | None = ...,
        output_value: str | None = ...,
        precision: str | None = ...,
        convert_to_numpy: bool = ...,
        convert_to_tensor: bool = ...,
        device: object = ...,
        normalize_embeddings: bool = ...,
        truncate_dim: int | None = ...,
        pool: object = ...,
        chunk_size: int | None = ...,
        *,
        inputs: str | Iterable[str] | None = ...,
        on_long: str = ...,
    ) -> Any: ...

    def encode(
        self,
        sentences: str | Iterable[str] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: str | None = VECTORS,
        precision: str | None = None,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: object = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: object = None,
        chunk_size: int | None = None,
        *,
        inputs: str | Iterable[str] | None = None,
        on_long: str = "truncate",
    ) -> Any:
        """Turn texts into vectors, as sentence-transformers' `encode` does: float32 [N, E], or [E] for one text.

        The arguments stand in its order; `inputs` is a second name of `sentences`. `prompt`, or the module's own of
        `prompt_name`, is put before each. `batch_size` bounds the texts of a batch; batches are planned by tokens in
        any case. `on_long` says what becomes of texts over `max_seq_length`: "truncate" (with a TruncationWarning that
        counts; texts are read up to twice that length, so of longer ones it says how many tokens were lost at least),
        "error", or "chunk", which averages the vectors of the pieces, weighted by their tokens. `truncate_dim` keeps
        the first dimensions, those that the module's own `truncate_dim` keeps if none is given. `convert_to_tensor`
        gives a tensor of torch; `output_value="token_embeddings"` the last hidden states of each text, a list of
        [T, D]. `pool` and `chunk_size` change nothing: the work is divided among the cores as it is planned.

        Raises: InputError, TextError.

        >>> import wellread
        >>> wellread.load("default").encode(["A man is playing a guitar.", "Someone plays an instrument."]).shape
        (2, 384)
        """
        if sentences is not None and inputs is not None:
            raise InputError(
                "texts were expected once; found sentences= and inputs=, its second name; pass one of them"
            )
        rows = sentences if inputs is None else inputs
        texts, sentence = as_texts(rows), self.checkpoint.sentence
        check_on_long(on_long)
        check_like(None if precision == "int8" and self.checkpoint.has_int8 else precision, output_value, pool)
        if device is not None:
            self.to(device)
        words = prompt_of(sentence, prompt_name, prompt)
        planned = len(texts) if output_value != TOKENS else 0
        arguments = self._ready(planned, batch_size=batch_size, precision=precision, on_long=on_long)
        common: dict[str, Any] = {"prompt": words, "refuse": on_long == "error", "show": show_progress_bar}
        vectors: FloatArray | list[FloatArray]
        if output_value == TOKENS:
            (vectors, truncated), counted = encode_tokens(texts, *arguments, **common), None
        else:
            whole, truncated = encode_texts(texts, *arguments, width=self.checkpoint.embedding_size, **common)
            counted = arguments[-1].counted
            cut = self._own_truncation() if truncate_dim is None else truncate_dim
            vectors = postprocess(whole, truncate_dim=cut, normalize=normalize_embeddings)
        advice = f'this module takes {self.max_seq_length} of a text; pass on_long="chunk" or on_long="error"'
        warn_truncated(truncated, advice, counted=counted)
        if convert_to_tensor:
            vectors = _as_tensors(vectors)
        if isinstance(rows, str):
            return vectors[0]
        return vectors if convert_to_numpy or convert_to_tensor else list(vectors)

    def _ready(
        self, texts: int, *, batch_size: int | None, precision: str | None, on_long: str
    ) -> tuple[Backend, Tokenizer, Packer]:
        """Return what `encode_texts` takes beside so many texts."""
        runner = self._running_for(texts, precision)
        packer = Packer(
            template=self.tokenizer.template,
            sentence=self.checkpoint.sentence,
            max_rows=_most_rows(batch_size, runner),
            chunked=on_long == "chunk",
        )
        return runner, self.tokenizer, packer

    def encode_counted(
        self,
        texts: Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        precision: str | None = None,
        on_long: str = "truncate",
        batch_size: int | None = None,
    ) -> tuple[FloatArray, NDArray[np.int64]]:
        """Do as `encode`, and tell how many tokens each text lost instead of warning: float32 [N, E] and int64 [N].

        Raises: InputError, TextError.

        >>> import wellread
        >>> vectors, lost = wellread.load("default").encode_counted(["A man is playing a guitar."])
        >>> vectors.shape, lost.tolist()
        ((1, 384), [0])
        """
        check_on_long(on_long)
        check_like(None if precision == "int8" and self.checkpoint.has_int8 else precision, VECTORS, None)
        words = prompt_of(self.checkpoint.sentence, prompt_name, prompt)
        rows, width = as_texts(texts), self.checkpoint.embedding_size
        arguments = self._ready(len(rows), batch_size=batch_size, precision=precision, on_long=on_long)
        whole, lost = encode_texts(rows, *arguments, width=width, prompt=words, refuse=on_long == "error", show=False)
        cut = self._own_truncation() if truncate_dim is None else truncate_dim
        return postprocess(whole, truncate_dim=cut, normalize=normalize_embeddings), lost

    def _own_truncation(self) -> int | None:
        return None if self.checkpoint.sentence.truncate_dim is None else self.embedding_size

    def encode_query(
        self,
        sentences: str | Iterable[str] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *others: Any,
        **options: Any,
    ) -> Any:
        """Do as `encode`, with the prompt named `query` before each text if the module has one, and else with none."""
        if prompt_name is None and prompt is None:
            prompt = self.prompts.get("query", "")
        return self.encode(sentences, prompt_name, prompt, *others, **options)  # type: ignore[arg-type]

    def encode_document(
        self,
        sentences: str | Iterable[str] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *others: Any,
        **options: Any,
    ) -> Any:
        """Do as `encode`, with the prompt named `document` before each text if the module has one, and else with none.

        That is what sentence-transformers 6 does: another prompt, such as `passage`, goes by `prompt_name`.
        """
        if prompt_name is None and prompt is None:
            prompt = self.prompts.get("document", "")
        return self.encode(sentences, prompt_name, prompt, *others, **options)  # type: ignore[arg-type]

    def embed(self, texts: Iterable[str], **options: Any) -> Iterator[FloatArray]:
        """Yield the vector [E] of each text, in order, holding a bounded number; options as for `encode`."""
        if isinstance(texts, str):
            raise InputError(f"an iterable of texts was expected; found one str, {texts[:40]!r}; wrap it in a list")
        rows = iter(text_rows(texts))
        options = {"show_progress_bar": False, **options}

        def vectors() -> Iterator[FloatArray]:
            first_row = 0
            while window := list(islice(rows, WINDOW)):
                yield from self.encode(as_texts(window, first_row=first_row), **options)
                first_row += len(window)

        return vectors()

    def similarity(self, a: Any, b: Any) -> Any:
        """Compare every vector of `a` [N, E] with every one of `b` [M, E] by `similarity_fn_name`: float32 [N, M].

        Distances come with a minus; tensors give a tensor. Raises: InputError for what are no vectors of one width.
        """
        return _as_given(a, similarity(self.similarity_fn_name, a, b))

    def similarity_pairwise(self, a: Any, b: Any) -> Any:
        """Do as `similarity` with each vector of `a` [N, E] and the one of `b` [N, E] in its place: float32 [N]."""
        return _as_given(a, similarity_pairwise(self.similarity_fn_name, a, b))

    def predict(
        self,
        texts: Texts,
        pairs: str | Sequence[str] | None = None,
        *,
        tokens: Sequence[Spans] | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        precision: str | None = None,
        **options: Any,
    ) -> Any:
        """Answer as the module was fine-tuned to: a list with an answer for each text, or one answer for one text.

        Two texts a row are `texts` and `pairs`, or a list of pairs of texts. `classify` and `pair` give a `Prediction`;
        `multilabel` a `LabelSet`, of the labels above `threshold`; `similarity`, `score` and `rank` (a cross-encoder)
        numbers, float32 [N], or [N, C] of a head with C outputs, the latter two through the head's activation or
        `activation`; `tag` a `Tagged`, for words or for the spans of characters that `tokens` names; `answer` a
        `FoundAnswer` of the questions `texts` in the contexts `pairs`, with the options of `AnswerSettings` (`top_k`,
        `max_answer_length`, `null_threshold`, `stride`).

        Raises: InputError for a module without a head, or texts and options that its task does not take; TextError.
        """
        from wellread.tasks.predict import head_of, inputs_for, predict_all, read_options
        from wellread.tasks.registry import task_named
        from wellread.tasks.task import Predictor

        head = head_of(self.checkpoint)
        inputs, single = inputs_for(head, texts, pairs, tokens)
        seconds = inputs.pairs or inputs.texts[SAMPLE // 2 :]
        warn_unreadable(self.tokenizer, [*inputs.texts[: SAMPLE // 2], *seconds[: SAMPLE // 2]], stacklevel=3)
        runner = self.running(precision)
        predictor = Predictor(
            checkpoint=self.checkpoint,
            head=head,
            tokenizer=self.tokenizer,
            options=read_options(head, options),
            backend=runner,
            max_rows=_most_rows(batch_size, runner),
            truncation=task_named(head.task).truncation,
        )
        predictions = predict_all(predictor, inputs, show=show_progress_bar)
        return predictions[0] if single else predictions

    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        return_documents: bool = False,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """Put documents in the order in which they answer a query, the best first, as `CrossEncoder.rank` does.

        Returns `corpus_id`, the number of the document, its `score` and, with `return_documents`, its `text`, of all
        or of the `top_k` best. A cross-encoder scores query and document together, by `predict`; any other module
        compares their vectors, `encode_query`'s with `encode_document`'s, by `similarity`. `options` are those of these
        methods: `batch_size`, `show_progress_bar`, `precision`.

        Raises: InputError for a head that gives several numbers, or arguments of other kinds; TextError.

        >>> import wellread
        >>> documents = ["It rains a lot in Bergen.", "The cat sleeps on the sofa."]
        >>> wellread.load("default").rank("where is the cat?", documents, top_k=1)[0]["corpus_id"]
        1
        """
        from wellread.tasks.rank import check_rank, ranked, ranks_by_head

        check_rank(query, documents, top_k)
        by_head, texts = ranks_by_head(self.checkpoint), as_texts(documents)
        if not texts:
            return []
        if by_head:
            scores = self.predict([query] * len(texts), texts, **options)
        else:
            vectors = self.encode_document(texts, **options)
            scores = self.similarity(self.encode_query([query], **options), vectors)[0]
        return ranked(scores.tolist(), texts, top_k=top_k, return_documents=return_documents)

    def search(
        self,
        query: Any,
        vectors: Any,
        top_k: int = 10,
        *,
        columns: Sequence[str] | None = None,
        rescore: Any = None,
        rescore_multiplier: int = 4,
        vector_column: str = "embedding",
        corpus_precision: str | None = None,
        scale: Any = None,
        check_fingerprint: bool = True,
        **options: Any,
    ) -> list[Any]:
        """Find the `top_k` vectors that are most alike a query's by `similarity`, comparing every one of them.

        `query` is a text, or a vector [E]: a list of hits, the best first; or many of either: a list of such lists.
        `vectors` are an array [N, E], a .npy or .parquet file, or a directory of Parquet shards, in float32, float16,
        int8 (times `scale`) or packed bits; int8 may be packed bits too: `corpus_precision="binary"`. They are read in
        blocks, however many there are. A hit is `corpus_id`, the number of its row, its `score`, and what the file's
        `columns` hold of the row (none named: all but `vector_column`). With `rescore`, vectors of the same rows in a
        higher precision, the best `top_k` x `rescore_multiplier` are compared once more. Binary vectors are compared
        with the signs of the query's numbers. `options` are those of `encode_query`: `prompt_name`, `truncate_dim`.

        Raises: DataError for vectors that cannot be read; InputError for arguments that do not fit them, and for a file
            that another module's `fingerprint` stands in, which `check_fingerprint=False` lets pass; TextError.

        >>> import wellread
        >>> module = wellread.load("default")
        >>> vectors = module.encode_document(["It rains a lot in Bergen.", "The cat sleeps on the sofa."])
        >>> [hit["corpus_id"] for hit in module.search("where is the cat?", vectors, top_k=1)]
        [1]
        """
        from wellread.searching import vectors_file
        from wellread.searching.hits import as_queries, find_hits

        opened = vectors_file.open_vectors(vectors, column=vector_column, precision=corpus_precision, scale=scale)
        better = None if rescore is None else vectors_file.open_vectors(rescore, column=vector_column)
        for each in (opened, better) if check_fingerprint else ():
            vectors_file.check_fingerprint(each, lambda: self.fingerprint)
        queries, single = as_queries(query, lambda texts: self.encode_query(texts, **options))
        hits = find_hits(
            queries,
            opened,
            top_k=top_k,
            similarity=self.similarity_fn_name,
            columns=columns,
            rescore=better,
            rescore_multiplier=rescore_multiplier,
        )
        return hits[0] if single else hits

    def save(
        self,
        directory: str | os.PathLike[str],
        *,
        dtype: str = "float32",
        card: str | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write the module as a directory that wellread, transformers and sentence-transformers open.

        Whole or not at all. `dtype` is "float32", "float16" or "int8": the last stores the matrices as
        `wellread.quantise` makes them of its own texts, and the rest as float32; what that costs is in the card. A
        module that holds int8 matrices keeps them, whatever the rest is stored as. `card` is the text of README.md;
        without it one is made of what the module knows of itself. With `overwrite`, a directory that `save` wrote
        before is replaced, but for a README.md that people wrote.

        Raises: CheckpointError where something stands there, and with `overwrite` where files of others do; for int8,
            as `wellread.quantise`.
        """
        from wellread.checkpoints.native import write_native

        if not overwrite:
            refuse_existing(Path(directory), advice=", or pass overwrite=True")  # before any work
        if overwrite:  # tensors that are still to be read may lie in the files that go
            self.checkpoint = replace(self.checkpoint, tensors=in_memory(self.checkpoint.stored()))
        module = self._in_int8() if dtype == "int8" else self
        write_native(
            Path(directory),
            module.checkpoint,
            module.tokenizer,
            provenance=module.provenance,
            dtype="float32" if dtype == "int8" else dtype,
            card=card or own_card(Path(directory)) or module.model_card(),
            overwrite=overwrite,
        )

    def dequantise(self) -> Module:
        """Return the module with the floats that its int8 matrices stand for; one without any is returned as it is.

        >>> import wellread
        >>> wellread.load("default").dequantise().checkpoint.has_int8
        False
        """
        if not self.checkpoint.has_int8:
            return self
        floats = replace(self.checkpoint, tensors=in_memory(self.checkpoint.arrays()))
        return replace(self, checkpoint=floats)

    def _in_int8(self) -> Module:
        """Return the module with int8 matrices: itself where it has some."""
        if self.checkpoint.has_int8:
            return self
        from wellread.quantising.quantise import quantise_checkpoint

        int8 = quantise_checkpoint(self.checkpoint, self.tokenizer)
        return replace(self, checkpoint=int8.checkpoint, provenance=int8.provenance(self.provenance))

    def save_pretrained(self, save_directory: str | os.PathLike[str], **options: Any) -> None:
        """Do as `save`, by the name that Hugging Face's models have for it."""
        self.save(save_directory, **options)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any) -> Module:
        """Do as `wellread.load`, by the name that Hugging Face's models have for it."""
        return load(pretrained_model_name_or_path, **options)

    def model_card(self, *, repo_id: str | None = None) -> str:
        """Return the text of the module's card, published as `repo_id`: what it is, how to use it, where it is from."""
        from wellread.card import model_card

        return model_card(self.checkpoint, self.tokenizer, self.provenance, repo_id=repo_id)

    def push_to_hub(self, repo_id: str, *, card: str | None = None, dtype: str = "float32", **options: Any) -> Pushed:
        """Put the module on the Hugging Face hub as `repo_id`, in one commit, and compare what the hub then holds.

        `card` is the text of README.md; without it one is made, unless people wrote the one that is there. Options are
        those of `hub.push.Upload`: `private`, `token`, `revision`, `commit_message`.

        Raises: InputError without a login; HandleError for what is no id; CheckpointError where the module cannot be
            written; ExportError where the hub refuses, fails, or holds something else than what was sent.
        """
        import tempfile

        from wellread.hub.push import Upload

        upload = Upload(repo_id, **options)  # refuses before anything is written
        module = self._in_int8() if dtype == "int8" else self
        with tempfile.TemporaryDirectory(prefix="wellread.") as directory:
            module.save(Path(directory) / "module", dtype=dtype)
            return upload.send(Path(directory) / "module", card=card or module.model_card)

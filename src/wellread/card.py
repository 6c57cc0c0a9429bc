"""What a module says of itself: a description for programs, and the card, README.md of where it is published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import prod
from typing import TYPE_CHECKING, Any

from wellread.about import ABOUT, About, about_of
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.families import FAMILIES
from wellread.config import DenseConfig, EncoderConfig, HeadConfig
from wellread.errors import HandleError
from wellread.files import CARD_MARK
from wellread.fingerprint import fingerprint
from wellread.hub.location import Location
from wellread.schema import as_dict
from wellread.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from wellread.tasks.task import Task

DIALECTS = {
    "hf": "WordPiece by the rules of Hugging Face's BertTokenizer",
    "tfhub": "WordPiece by the rules of TF Hub's preprocessors",
    "spm": "SentencePiece",
    "kobert": "SentencePiece by the rules of KoBertTokenizer",
    "fast": "{algorithm}, run by the tokenizers library",
}
# The rules of WordPiece that a dialect has no say in.
NO_RULES = {
    "fast": ("do_lower_case", "strip_accents", "tokenize_chinese_chars"),
    **dict.fromkeys(("spm", "kobert"), ("strip_accents", "tokenize_chinese_chars")),
}
POOLERS = {"dense_tanh": "tanh of a dense map of position 0", "first_token": "the vector of position 0 as it is"}
POOLINGS = {
    "mean": "mean of the tokens",
    "cls": "position 0",
    "max": "maximum over the tokens",
    "mean_sqrt_len_tokens": "sum of the tokens over the square root of their number",
    "weightedmean": "mean of the tokens, weighted by their positions",
    "lasttoken": "last token",
    "pooled_output": "`pooled_output`",
}
SHOWN = 40  # labels that a card lists
# What wellread notes of a training run: each has a section of its own.
COUNTS = ("made_by", "task", "columns", "rows", "texts", "augmented", "labelled", "tokens", "steps", "time")
TABLES = {"scores": "What it scores", "settings": "With which settings", "recipe": "By which recipe"}
MADE = {"trim": "What trimming left", "quantise": "What int8 costs"}
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")  # YAML reads it as a string, but for these:
YAML_CONSTANTS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def describe(checkpoint: Checkpoint, tokenizer: Tokenizer, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a module for programs: shape, size, tokenizer, outputs, what of its source was ignored or inferred."""
    return {
        "handle": provenance.get("handle"),
        "family": checkpoint.family,
        "config": as_dict(checkpoint.config),
        "parameters": checkpoint.num_parameters,
        "stored_as": sorted({tensor.dtype for tensor in checkpoint.tensors.values()}),
        "pooled_output": POOLERS[checkpoint.config.pooler],
        "mlm_logits": checkpoint.has_mlm,
        "head": None if checkpoint.head is None else as_dict(checkpoint.head),
        "sentence_embedding": asdict(checkpoint.sentence),
        "embedding_size": checkpoint.encoded_size,
        "fingerprint": fingerprint(checkpoint, tokenizer),
        "tokenizer": {
            **_tokenizer_settings(tokenizer),
            **tokenizer.get_special_tokens_dict(),
            **({"model": model} if (model := getattr(tokenizer.engine, "model", None)) else {}),
            **({"notes": dict(tokenizer.vocabulary.notes)} if tokenizer.vocabulary.notes else {}),
        },
        "ignored": dict(checkpoint.ignored),
        "inferred": dict(checkpoint.inferred),
        "provenance": {key: value for key, value in provenance.items() if key != "handle"},
    }


def _tokenizer_settings(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the settings of a tokenizer, without rules that its dialect does not have."""
    rules = NO_RULES.get(tokenizer.config.dialect, ())
    return {key: value for key, value in as_dict(tokenizer.config).items() if key not in rules}


def model_card(
    checkpoint: Checkpoint, tokenizer: Tokenizer, provenance: Mapping[str, Any], *, repo_id: str | None = None
) -> str:
    """Write the card of a module, published as `repo_id`: YAML for the hub, then plain text.

    What neither the module nor the catalog says of its source, such as a licence, is left out.

    >>> import wellread
    >>> "| vocabulary | 10,390 pieces |" in wellread.load("default").model_card()
    True
    """
    from wellread.text.tokenizer_json import text_differences

    about = about_of(provenance)
    told = [*COUNTS, *TABLES, *MADE, ABOUT] if "made_by" in provenance else [*MADE, ABOUT]
    origin = {key: value for key, value in provenance.items() if key not in told}
    parts = [
        f"---\n{_yaml(_metadata(checkpoint, provenance, repo_id))}---",
        f"# {_line(about.title or (repo_id or 'A text encoder').rpartition('/')[2])}",
        _table(facts(checkpoint, tokenizer)),
        "## How to use it",
        *_usage(checkpoint, tokenizer, json.dumps(repo_id or "path/to/this/directory", ensure_ascii=False)),
        *_section("What differs elsewhere", text_differences(tokenizer)),
        *_section("What of its source was not used", _pairs(checkpoint.ignored)),
        *_section("What its source does not say and was inferred", _pairs(checkpoint.inferred)),
        *_section("Which texts it learnt from", _texts(about)),
        *_section("What it scores, measured by its makers", [f"{_line(one.name)}: {one}" for one in about.scores]),
        *_stages(provenance),
        *_training({key: value for key, value in provenance.items() if key in told}),
        *_section("Where it comes from", _pairs(_flat(origin))),
        *(["## What to know", about.notes.strip()] if about.notes.strip() else []),
        CARD_MARK,
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(checkpoint: Checkpoint, provenance: Mapping[str, Any], repo_id: str | None) -> dict[str, Any]:
    """Return what the hub files a module under; None for what is not known."""
    facts, head, sentence = _flat(provenance), checkpoint.head, checkpoint.sentence
    source, *others = (_location(facts.get(key)) for key in ("handle", "from.handle", "teacher.handle"))
    entry, about = source.entry if source else None, about_of(provenance)
    languages = about.languages or (entry.languages if entry else ())
    bases = [base.address for base in (source, *others) if base is not None and base.kind == "huggingface"]
    if head is not None:
        task = _task(head).pipeline
    elif checkpoint.has_mlm:
        task = "fill-mask"
    else:
        task = "sentence-similarity" if sentence.normalize or sentence.dense else "feature-extraction"
    both = not _has_logits(head) or (head is not None and _task(head).cross_encoder)
    libraries = [*(["sentence-transformers"] if both else []), "transformers"]
    libraries = [] if checkpoint.has_int8 else libraries  # they know no scales
    return {
        # the hub's codes have no parts for scripts or countries: zh-Hans and zh-Hant are zh
        "language": list(dict.fromkeys(tag.partition("-")[0].lower() for tag in languages)),
        "license": about.licence.lower() or (entry.licence.lower() if entry and entry.licence else None),
        "library_name": "wellread",
        "tags": ["wellread", *libraries, checkpoint.family],
        "base_model": next((base for base in bases if base != repo_id), None),
        "pipeline_tag": task,
    }


def _location(handle: object) -> Location | None:
    """Locate a handle; None for the last part of a path, which has no slash and may be called anything."""
    if not isinstance(handle, str) or "/" not in handle:
        return None
    from wellread.hub.handles import locate  # brings the catalog

    try:
        return locate(handle)
    except HandleError:
        return None


def _yaml(values: Mapping[str, str | Sequence[str] | None]) -> str:
    """Write strings, and lists of them, as YAML; what is None or empty is left out.

    >>> _yaml({"language": ["en", "no"], "license": None, "library_name": "wellread"})
    'language:\\n- en\\n- "no"\\nlibrary_name: wellread\\n'
    """

    def scalar(text: str) -> str:
        plain = PLAIN.fullmatch(text) and text.lower() not in YAML_CONSTANTS
        return text if plain else json.dumps(text)

    lines = []
    for key, value in values.items():
        if isinstance(value, str):
            lines.append(f"{key}: {scalar(value)}\n")
        elif value:
            lines += [f"{key}:\n", *(f"- {scalar(item)}\n" for item in value)]
    return "".join(lines)


def facts(checkpoint: Checkpoint, tokenizer: Tokenizer) -> dict[str, object]:
    """Say what the module is, in the words of a reader: the table of its card, and the head of `wellread info`."""
    config, sentence = checkpoint.config, checkpoint.sentence
    vector = [" beside the ".join(POOLINGS[pooling] for pooling in sentence.poolings), *map(_step, sentence.dense)]
    vector += ["length 1"] if sentence.normalize else []
    cut = checkpoint.encoded_size < checkpoint.embedding_size
    vector += [f"the first {checkpoint.encoded_size} of {checkpoint.embedding_size} numbers"] if cut else []
    return {
        **(_head_facts(checkpoint.head) if checkpoint.head is not None else {}),
        "family": f"{checkpoint.family}, {'with' if checkpoint.has_mlm else 'without'} a masked-language-model head",
        "shape": f"{config.num_hidden_layers} layers of width {config.hidden_size} with {config.num_attention_heads} "
        f"heads, inner width {config.intermediate_size}{_beside_bert(config)}",
        "parameters": f"{checkpoint.num_parameters:,}{_in_int8(checkpoint)}",
        "activation": config.hidden_act,
        "text rules": _text_rules(tokenizer),
        "vocabulary": f"{tokenizer.vocab_size:,} pieces",
        "longest text": f"{sentence.max_seq_length} tokens (the position table has {config.max_length})",
        "`pooled_output`": POOLERS[config.pooler],
        "sentence vector": f"{checkpoint.encoded_size} numbers: {', then '.join(vector)}",
        **({"compared by": sentence.similarity_fn_name} if sentence.similarity_fn_name != "cosine" else {}),
        **{f"prompt {_code(name)}": _code(prompt) for name, prompt in sentence.prompts.items()},
    }


def _in_int8(checkpoint: Checkpoint) -> str:
    """Say how many of the parameters are int8."""
    sizes = [prod(tensor.shape) for tensor in checkpoint.tensors.values() if tensor.int8 is not None]
    return f", {sum(sizes):,} of them int8" if sizes else ""


def _beside_bert(config: EncoderConfig) -> str:
    """Say what the shape has that BERT's has not.

    >>> sizes = dict(vocab_size=99, hidden_size=12, num_hidden_layers=3, num_attention_heads=4, intermediate_size=37)
    >>> _beside_bert(EncoderConfig(**sizes, embedding_size=5, shared_layers=True))
    '; embeddings of width 5; one set of weights for all layers'
    """
    width = config.embedding_width
    parts = [f"embeddings of width {width}"] if width != config.hidden_size else []
    parts += ["one set of weights for all layers"] if config.shared_layers else []
    parts += ["attention by relative position"] if config.relative_attention_num_buckets else []
    return "".join(f"; {part}" for part in parts)


def _text_rules(tokenizer: Tokenizer) -> str:
    """Say by which rules texts become pieces."""
    algorithm = getattr(tokenizer.engine, "algorithm", None)  # of the tokenizers library
    rules = DIALECTS[tokenizer.config.dialect].format(algorithm=algorithm)
    return rules + (", lower-cased" if tokenizer.config.do_lower_case else "")


def _step(dense: DenseConfig) -> str:
    """Say what a step behind the pooling does.

    >>> _step(DenseConfig(in_features=12, out_features=5, activation="tanh"))
    'a linear map to 5 with tanh'
    """
    if dense.kind != "dense":
        return "length 1" if dense.kind == "normalize" else "LayerNorm"
    activation = f" with {dense.activation}" if dense.activation != "identity" else ""
    return f"a linear map to {dense.out_features}{activation}" + (", added to what went in" if dense.residual else "")


def _task(head: HeadConfig) -> Task:
    from wellread.tasks.registry import task_named  # brings every task

    return task_named(head.task)


def _head_facts(head: HeadConfig) -> dict[str, object]:
    """Say what a fine-tuned module predicts.

    >>> _head_facts(HeadConfig(task="similarity", high=5.0))
    {'answers': 'a score for a pair of texts, 0 for a cosine of 0 and 5 for one of 1'}
    """
    facts: dict[str, object] = {"answers": _task(head).summary.format(low=head.low, high=head.high)}
    if head.activation != "identity":
        facts["answers"] = f"{facts['answers']}: {head.activation} of the logits"
    if head.labels:
        more = f" and {len(head.labels) - SHOWN} more" if len(head.labels) > SHOWN else ""
        facts["labels"] = ", ".join(map(_code, head.labels[:SHOWN])) + more
    return facts


def _has_logits(head: HeadConfig | None) -> bool:
    return head is not None and head.outputs > 0


def _usage(checkpoint: Checkpoint, tokenizer: Tokenizer, name: str) -> Iterator[str]:
    """Yield code that runs, for each library that opens the module; `name` is a literal of where it is."""
    head, config = checkpoint.head, checkpoint.config
    if checkpoint.has_int8:
        yield (
            "Its int8 matrices are read by wellread. For other libraries, `wellread export --to huggingface` writes "
            "the floats that they stand for."
        )
    padding = 'padding=True, return_tensors="pt"' + ("" if config.reads_types else ", return_token_type_ids=False")
    wellread = f"import wellread\n\nmodule = wellread.load({name})\n"
    task = _task(head) if head is not None else None
    if head is not None and task is not None and _has_logits(head):
        yield _python(f"{wellread}answers = module.predict({task.usage})")
        if checkpoint.has_int8:
            return
        yield "With transformers:"
        auto_class = f"AutoModel{head.row.huggingface}"
        yield _python(
            f"from transformers import {auto_class}, AutoTokenizer\n\n"
            f"tokenizer = AutoTokenizer.from_pretrained({name})\n"
            f"model = {auto_class}.from_pretrained({name})\n"
            f"scores = model(**tokenizer({task.usage}, {padding}))\nlogits = {task.logits}"
        )
        if task.cross_encoder:
            yield "With sentence-transformers:"
            yield _python(
                f"from sentence_transformers import CrossEncoder\n\nmodel = CrossEncoder({name})\n"
                'ranking = model.rank("A query.", ["A document.", "Another."])'
            )
        return
    yield _python(f'{wellread}vectors = module.encode(["A text.", "Another."])')
    if task is not None:
        yield _python(f"scores = module.predict({task.usage})")
    if checkpoint.has_mlm:
        masked = json.dumps(f"A {tokenizer.config.mask_token} text.", ensure_ascii=False)
        yield _python(f"guesses = module.fill_mask({masked})")
    if checkpoint.has_int8:
        return
    # transformers would make a pooler of fresh random weights, unless its class has none
    no_pooler = config.pooler == "first_token" and "pooler" not in FAMILIES[checkpoint.family].constants
    yield "With sentence-transformers:"
    yield _python(
        "from sentence_transformers import SentenceTransformer\n\n"
        f"model = SentenceTransformer({name}{', model_kwargs=dict(add_pooling_layer=False)' if no_pooler else ''})\n"
        'vectors = model.encode(["A text.", "Another."])'
    )
    yield f"With transformers, for the hidden states{'; there is no pooler' if no_pooler else ''}:"
    yield _python(
        f"from transformers import AutoModel, AutoTokenizer\n\ntokenizer = AutoTokenizer.from_pretrained({name})\n"
        f"model = AutoModel.from_pretrained({name}{', add_pooling_layer=False' if no_pooler else ''})\n"
        f'inputs = tokenizer(["A text.", "Another."], {padding})\nsequence_output = model(**inputs).last_hidden_state'
    )


def _texts(about: About) -> list[str]:
    """Name the texts that people say a module learnt from, with their licences."""
    return [f"{_line(one.name)}{one.what and f', {_line(one.what)}'}: {_line(one.licence)}" for one in about.texts]


STAGE = ("rows", "texts", "augmented", "labelled", "tokens", "steps")


def _stages(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was done to the module, the first first, where that is more than one training."""
    stages: list[Mapping[str, Any]] = []
    while isinstance(provenance, Mapping) and "made_by" in provenance:
        stages.insert(0, provenance)
        provenance = provenance.get("from") or provenance.get("student") or {}
    trained = [stage for stage in stages if "steps" in stage]
    if len(trained) < 2:
        return
    rows = ["| by | of | for | teacher |", "|---|---|---|---|"]
    for stage in trained:
        counts = ", ".join(f"{stage[key]:,} {key}" for key in STAGE if isinstance(stage.get(key), int))
        time, teacher = stage.get("time"), stage.get("teacher")
        spent = f"{time['seconds'] / 3600:.1f} h on {time['device']}" if isinstance(time, Mapping) else ""
        taught = str(teacher.get("handle", "")) if isinstance(teacher, Mapping) else ""
        rows.append(
            f"| {' | '.join(_code(cell) if cell else '' for cell in (stage['made_by'], counts, spent, taught))} |"
        )
    yield "## In which stages it was made"
    yield "\n".join(rows)


def _training(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield how wellread trained the module, as far as its provenance tells."""
    counts = {key: provenance[key] for key in COUNTS if key in provenance}
    yield from _section("How it was trained", _pairs(_flat(counts)))
    for key, title in {**TABLES, **MADE}.items():
        value = provenance.get(key)
        facts = _flat(value if isinstance(value, Mapping) else {key: value})
        if value is not None and facts:
            yield f"## {title}"
            yield _table({_code(name): _code(str(fact)) for name, fact in facts.items()})


def _python(code: str) -> str:
    return f"```python\n{code}\n```"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    """Return a heading and a list; nothing where there are no lines."""
    return [f"## {title}", "\n".join(f"- {line}" for line in lines)] if lines else []


def _table(facts: Mapping[str, object]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())])


def _pairs(facts: Mapping[str, object]) -> list[str]:
    return [f"{_code(key)}: {_code(str(value))}" for key, value in facts.items()]


def _line(text: str) -> str:
    """Return words of others on one line, without control characters."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


def _code(text: str) -> str:
    """Set words of others so that none of their signs is taken for Markdown: one line, in back quotes.

    >>> _code("a|b\\n`c`")
    "`a/b 'c'`"
    """
    plain = _line(text).replace("`", "'").replace("|", "/")
    return f"`{plain or ' '}`"


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Name nested facts `a.b`."""
    flat: dict[str, object] = {}
    for key, value in facts.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat

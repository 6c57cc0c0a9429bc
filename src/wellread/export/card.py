"""A module's card: README.md for where it is published, made of what the module knows of itself and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wellread.errors import HandleError
from wellread.hub.handles import Location, locate
from wellread.module import Module

MARK = "<!-- made by wellread, which replaces this card at the next push; take this line out to keep your own -->"
DIALECTS = {
    "hf": "WordPiece by the rules of Hugging Face's BertTokenizer",
    "tfhub": "WordPiece by the rules of TF Hub's preprocessors",
    "spm": "SentencePiece",
    "kobert": "SentencePiece by the rules of KoBertTokenizer",
}
HEADS = {True: "with a masked-language-model head", False: "without a masked-language-model head"}


def model_card(module: Module, *, repo_id: str | None = None, differences: Sequence[str] = ()) -> str:
    """Write the card of `module`, published as `repo_id`: YAML for the hub, then plain text.

    `differences` says what other tokenizers, which read `tokenizer.json`, do otherwise. What neither the module nor the
    catalog says of its source, such as a licence, is left out.

    >>> import wellread
    >>> "| vocabulary | 30,522 pieces |" in model_card(wellread.load("default"))
    True
    """
    from huggingface_hub import ModelCardData

    info = module.info()
    head = ModelCardData(**_metadata(module, repo_id)).to_yaml()
    parts = [
        f"---\n{head}\n---",
        f"# {_line(repo_id).rpartition('/')[2] if repo_id else 'A text encoder'}",
        _table(_facts(module)),
        *_usage(module, _literal(repo_id or "path/to/this/directory")),
        *_section("What differs elsewhere", differences),
        *_section("What of its source was not used", _pairs(info["ignored"])),
        *_section("What its source does not say and was inferred", _pairs(info["inferred"])),
        *_section("Where it comes from", _pairs(_flat(module.provenance))),
        MARK,
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(module: Module, repo_id: str | None) -> dict[str, Any]:
    """Return what the hub files a module under; None for what is not known."""
    checkpoint, provenance = module.checkpoint, _flat(module.provenance)
    source, teacher = _source(provenance.get("handle")), _source(provenance.get("teacher.handle"))
    entry = source.entry if source else None
    bases = [place.address for place in (source, teacher) if place is not None and place.kind == "huggingface"]
    sentences = checkpoint.sentence.normalize or checkpoint.sentence.dense
    task = "fill-mask" if checkpoint.has_mlm else "sentence-similarity" if sentences else "feature-extraction"
    return {
        "library_name": "wellread",
        "language": _languages(entry.languages) if entry else None,
        "license": entry.licence.lower() if entry and entry.licence else None,
        "base_model": next((base for base in bases if base != repo_id), None),
        "pipeline_tag": task,
        "tags": ["wellread", "sentence-transformers", "transformers", checkpoint.family],
    }


def _languages(tags: Sequence[str]) -> list[str]:
    """Return the codes that the hub knows, which have no parts for scripts or countries.

    >>> _languages(["en", "zh-Hans", "zh-Hant"])
    ['en', 'zh']
    """
    return list(dict.fromkeys(tag.partition("-")[0].lower() for tag in tags))


def _source(handle: object) -> Location | None:
    """Return what a handle names; None for the last part of a path, which has no slash and may be called anything."""
    if not isinstance(handle, str) or "/" not in handle:
        return None
    try:
        return locate(handle)
    except HandleError:
        return None


def _facts(module: Module) -> dict[str, object]:
    """Say what the module is, in the words of a reader."""
    checkpoint, config, text = module.checkpoint, module.checkpoint.config, module.tokenizer
    sentence = checkpoint.sentence
    steps = [
        {"mean": "mean of the tokens", "cls": "position 0", "pooled_output": "`pooled_output`"}[sentence.pooling],
        *(f"a linear map to {map.out_features}" for map in sentence.dense),
        *(["length 1"] if sentence.normalize else []),
    ]
    return {
        "family": f"{checkpoint.family}, {HEADS[checkpoint.has_mlm]}",
        "shape": f"{config.num_hidden_layers} layers of width {config.hidden_size} with {config.num_attention_heads} "
        f"heads, inner width {config.intermediate_size}",
        "parameters": f"{checkpoint.num_parameters:,}",
        "activation": config.hidden_act,
        "text rules": DIALECTS[text.config.dialect] + (", lower-cased" if text.config.do_lower_case else ""),
        "vocabulary": f"{text.vocab_size:,} pieces",
        "longest text": f"{sentence.max_seq_length} tokens (the position table has {config.max_position_embeddings})",
        "`pooled_output`": module.info()["pooled_output"],
        "sentence vector": f"{module.embedding_size} numbers: {', then '.join(steps)}",
        **{f"prompt {_code(name)}": _code(prompt) for name, prompt in sentence.prompts.items()},
    }


def _usage(module: Module, name: str) -> Iterator[str]:
    """Yield code that runs, for each library that opens the module."""
    given = "" if module.checkpoint.config.type_vocab_size else ", return_token_type_ids=False"
    yield "## How to use it"
    yield _python(
        f'import wellread\n\nmodule = wellread.load({name})\nvectors = module.encode(["A text.", "Another."])'
    )
    if module.checkpoint.has_mlm:
        text = _literal(f"A {module.tokenizer.config.mask_token} text.")
        yield _python(f"guesses = module.fill_mask({text})")
    yield "With sentence-transformers:"
    yield _python(
        f"from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer({name})\n"
        'vectors = model.encode(["A text.", "Another."])'
    )
    yield "With transformers, for the hidden states:"
    yield _python(
        f"from transformers import AutoModel, AutoTokenizer\n\ntokenizer = AutoTokenizer.from_pretrained({name})\n"
        f"model = AutoModel.from_pretrained({name})\n"
        f'inputs = tokenizer(["A text.", "Another."], padding=True, return_tensors="pt"{given})\n'
        "sequence_output = model(**inputs).last_hidden_state"
    )


def _python(code: str) -> str:
    return f"```python\n{code}\n```"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    """Return a heading and a list; nothing where there are no lines."""
    return [f"## {title}", "\n".join(f"- {line}" for line in lines)] if lines else []


def _table(facts: Mapping[str, object]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())])


def _pairs(facts: Mapping[str, object]) -> list[str]:
    return [f"{_code(key)}: {_code(str(value))}" for key, value in facts.items()]


def _literal(text: str) -> str:
    """Write a string as Python reads it."""
    return json.dumps(text, ensure_ascii=False)


def _line(text: str) -> str:
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

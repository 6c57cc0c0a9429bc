"""A module's card: README.md for where it is published, made of what the module knows of itself and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wellread.config import HeadConfig
from wellread.errors import CheckpointError, HandleError
from wellread.hub.handles import Location, locate
from wellread.module import Module
from wellread.text.tokenizer_json import text_differences


def python(lines: str) -> str:
    """Set Python code in a block."""
    return f"```python\n{lines}\n```"


def section(title: str, lines: Sequence[str]) -> list[str]:
    """Return a heading and a list; nothing where there are no lines."""
    return [f"## {title}", "\n".join(f"- {one}" for one in lines)] if lines else []


def table(facts: Mapping[str, object]) -> str:
    """Set facts as a table of two columns."""
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())])


def pairs(facts: Mapping[str, object]) -> list[str]:
    """Set each fact as a line of code and code."""
    return [f"{code(key)}: {code(str(value))}" for key, value in facts.items()]


def literal(text: str) -> str:
    """Write a string as Python reads it."""
    return json.dumps(text, ensure_ascii=False)


def line(text: str) -> str:
    """Return words of others on one line, without control characters."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


def code(text: str) -> str:
    """Set words of others so that none of their signs is taken for Markdown: one line, in back quotes.

    >>> code("a|b\\n`c`")
    "`a/b 'c'`"
    """
    plain = line(text).replace("`", "'").replace("|", "/")
    return f"`{plain or ' '}`"


def flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Name nested facts `a.b`."""
    made: dict[str, object] = {}
    for key, value in facts.items():
        made |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return made


# task -> what the hub files it under
PIPELINES = {
    "classify": "text-classification",
    "pair": "text-classification",
    "similarity": "sentence-similarity",
    "tag": "token-classification",
    "answer": "question-answering",
}
TASKS = {
    "classify": "a label for a text",
    "pair": "a label for a pair of texts",
    "similarity": "a score for a pair of texts",
    "tag": "a label for each word of a text",
    "answer": "the span of a text that answers a question",
}
# Hugging Face's classes for a task, and texts to try it on.
AUTO_CLASSES = {
    "classify": "AutoModelForSequenceClassification",
    "pair": "AutoModelForSequenceClassification",
    "tag": "AutoModelForTokenClassification",
    "answer": "AutoModelForQuestionAnswering",
}
ASKED = {
    "classify": ('["A text.", "Another."]',),
    "pair": ('["A text."]', '["Another."]'),
    "tag": ('["A text.", "Another."]',),
    "answer": ('["A question?"]', '["A text that answers it."]'),
}
SHOWN = 40  # labels that a card lists
# What wellread notes of a training run: each has a section of its own.
COUNTS = ("made_by", "task", "rows", "texts", "steps")
TABLES = {"scores": "What it scores", "settings": "With which settings", "recipe": "By which recipe"}


def judges(module: Module) -> bool:
    """Say whether a module has a head with tensors, which its outputs are for."""
    head = module.checkpoint.head
    return head is not None and head.outputs > 0


def head_facts(head: HeadConfig | None) -> dict[str, object]:
    """Say what a fine-tuned module answers.

    >>> head_facts(HeadConfig(task="similarity", high=5.0))
    {'answers': 'a score for a pair of texts, 0 for a cosine of 0 and 5 for one of 1'}
    """
    if head is None:
        return {}
    if head.task == "similarity":
        return {"answers": f"{TASKS[head.task]}, {head.low:g} for a cosine of 0 and {head.high:g} for one of 1"}
    more = f" and {len(head.labels) - SHOWN} more" if len(head.labels) > SHOWN else ""
    labels = {"labels": ", ".join(map(code, head.labels[:SHOWN])) + more} if head.labels else {}
    return {"answers": TASKS[head.task], **labels}


def head_usage(module: Module, name: str) -> Iterator[str]:
    """Yield code that asks the module; `name` is a literal of where it is."""
    head = module.checkpoint.head
    assert head is not None
    texts = ", ".join(ASKED[head.task])
    yield "## How to use it"
    yield python(f"import wellread\n\nmodule = wellread.load({name})\nanswers = module.predict({texts})")
    yield "With transformers:"
    padding = 'padding=True, return_tensors="pt"'
    if not module.checkpoint.config.type_vocab_size:
        padding += ", return_token_type_ids=False"
    logits = "scores.start_logits, scores.end_logits" if head.task == "answer" else "scores.logits"
    yield python(
        f"from transformers import {AUTO_CLASSES[head.task]}, AutoTokenizer\n\n"
        f"tokenizer = AutoTokenizer.from_pretrained({name})\n"
        f"model = {AUTO_CLASSES[head.task]}.from_pretrained({name})\n"
        f"scores = model(**tokenizer({texts}, {padding}))\nlogits = {logits}"
    )


def training(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the module was trained, as far as its provenance tells; nothing for one that wellread did not make."""
    if "made_by" not in provenance:
        return
    counts = {key: provenance[key] for key in COUNTS if key in provenance}
    yield from section("How it was trained", pairs(flat(counts)))
    for key, title in TABLES.items():
        found = provenance.get(key)
        facts = flat(found if isinstance(found, Mapping) else {key: found})
        if found is not None and facts:
            yield f"## {title}"
            yield table({code(name): code(str(value)) for name, value in facts.items()})


def untrained(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return of the provenance what `training` leaves for others to say."""
    told = (*COUNTS, *TABLES) if "made_by" in provenance else ()
    return {key: value for key, value in provenance.items() if key not in told}


MARK = "<!-- made by wellread, which replaces this card at the next push; take this line out to keep your own -->"
CARD = "README.md"
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
        f"# {line(repo_id).rpartition('/')[2] if repo_id else 'A text encoder'}",
        table(_facts(module)),
        *_usage(module, literal(repo_id or "path/to/this/directory")),
        *section("What differs elsewhere", differences),
        *section("What of its source was not used", pairs(info["ignored"])),
        *section("What its source does not say and was inferred", pairs(info["inferred"])),
        *training(module.provenance),
        *section("Where it comes from", pairs(flat(untrained(module.provenance)))),
        MARK,
    ]
    return "\n\n".join(parts) + "\n"


def write_card(directory: Path, module: Module) -> None:
    """Put the card of `module` as README.md into the directory where it was saved, whose record does not list it.

    Raises: CheckpointError where there is no such directory, a card that people wrote, or the disk refuses.
    """
    path = directory / CARD
    card = model_card(module, differences=text_differences(module.tokenizer))
    try:
        if path.exists() and MARK not in path.read_text("utf-8", "replace"):
            raise CheckpointError(f"{path} was to be written; found a card that people wrote; move it, or keep it")
        path.write_text(card, "utf-8")
    except OSError as error:
        raise CheckpointError(f"{path} was to be written; found that {error}; save the module there first") from error


def _metadata(module: Module, repo_id: str | None) -> dict[str, Any]:
    """Return what the hub files a module under; None for what is not known."""
    checkpoint, provenance = module.checkpoint, flat(module.provenance)
    named = (_source(provenance.get(key)) for key in ("handle", "from.handle", "teacher.handle"))
    source, *others = named
    entry = source.entry if source else None
    bases = [place.address for place in (source, *others) if place is not None and place.kind == "huggingface"]
    sentences = checkpoint.sentence.normalize or checkpoint.sentence.dense
    task = "fill-mask" if checkpoint.has_mlm else "sentence-similarity" if sentences else "feature-extraction"
    if checkpoint.head is not None:
        task = PIPELINES[checkpoint.head.task]
    libraries = ["transformers"] if judges(module) else ["sentence-transformers", "transformers"]
    return {
        "library_name": "wellread",
        "language": _languages(entry.languages) if entry else None,
        "license": entry.licence.lower() if entry and entry.licence else None,
        "base_model": next((base for base in bases if base != repo_id), None),
        "pipeline_tag": task,
        "tags": ["wellread", *libraries, checkpoint.family],
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
        **head_facts(checkpoint.head),
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
        **{f"prompt {code(name)}": code(prompt) for name, prompt in sentence.prompts.items()},
    }


def _usage(module: Module, name: str) -> Iterator[str]:
    """Yield code that runs, for each library that opens the module."""
    if judges(module):
        yield from head_usage(module, name)
        return
    given = "" if module.checkpoint.config.type_vocab_size else ", return_token_type_ids=False"
    yield "## How to use it"
    yield python(f'import wellread\n\nmodule = wellread.load({name})\nvectors = module.encode(["A text.", "Another."])')
    if module.checkpoint.head is not None:
        yield python('scores = module.predict(["A text."], ["Another."])')
    if module.checkpoint.has_mlm:
        text = literal(f"A {module.tokenizer.config.mask_token} text.")
        yield python(f"guesses = module.fill_mask({text})")
    yield "With sentence-transformers:"
    yield python(
        f"from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer({name})\n"
        'vectors = model.encode(["A text.", "Another."])'
    )
    yield "With transformers, for the hidden states:"
    yield python(
        f"from transformers import AutoModel, AutoTokenizer\n\ntokenizer = AutoTokenizer.from_pretrained({name})\n"
        f"model = AutoModel.from_pretrained({name})\n"
        f'inputs = tokenizer(["A text.", "Another."], padding=True, return_tensors="pt"{given})\n'
        "sequence_output = model(**inputs).last_hidden_state"
    )

"""What the card of a trained module says besides: its task, how to ask it, how it was trained and what it scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wellread.config import HeadConfig
from wellread.export.markdown import code, flat, pairs, python, section, table
from wellread.module import Module

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

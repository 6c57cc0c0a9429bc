"""Does a graph with a tokenizer inside make the ids of the tokenizer that it was made of? Its runtime says."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.errors import ExportError
from wellread.export.graph_names import IDS, TEXT
from wellread.export.graph_parity import rows_of, run_apart
from wellread.export.parity import all_texts
from wellread.export.text_graph import PREFIX, TextPart
from wellread.export.text_tables import CODES, INSTEAD, text_tables
from wellread.tasks.registry import task_named
from wellread.text.batch import Ragged
from wellread.text.tokenizer import Tokenizer

BATCH, ROOM = 512, 100_000  # texts at a time, and characters, those that fill rows up included
PLANE = 0x10000  # code points that are tried one by one: the Basic Multilingual Plane
SHOWN = 12  # ranges of characters of a reason, in a card; the metadata have all


@dataclass(frozen=True, slots=True, kw_only=True)
class TextParity:
    """What was found of the ids."""

    texts: int  # whose ids are equal
    refused: int  # whose ids differ, each with a character that the card names


def text_part(checkpoint: Checkpoint, tokenizer: Tokenizer) -> TextPart:
    """Say what a graph with the tokenizer inside does to a text.

    Raises: ExportError for a module that takes more than one text, or text rules that no graph of ours computes.
    """
    head, sentence = checkpoint.head, checkpoint.sentence
    template = tokenizer.template.for_types(checkpoint.config.type_vocab_size)
    faults = [
        *(["two texts"] if head is not None and head.outputs and takes_pairs(head.task) else []),
        *(["a mask of what is pooled beside the text"] if not sentence.include_prompt else []),
        *(["type ids other than 0 in a row of one text"] if any(kind for _, kind in template.single) else []),
    ]
    if faults:
        raise ExportError(
            f"the tokenizer was to go into the graph, which takes one text a row; found a module that takes "
            f"{' and '.join(dict.fromkeys(faults))}; {INSTEAD}"
        )
    return TextPart(tables=text_tables(tokenizer), template=template, seq_length=sentence.max_seq_length)


def takes_pairs(task: str) -> bool:
    """Say whether a row of a task must hold two texts."""
    return task_named(task).takes_pairs == "yes"


def check_text(
    tokenizer: Tokenizer, part: TextPart, model: Any, texts: Iterable[str] = (), *, runtime: str = "onnxruntime"
) -> TextParity:
    """Compare the ids that a graph makes with the tokenizer's, in a fresh process that knows the runtime alone.

    Of 20,000 English and Korean lines, hostile strings, every character of the Basic Multilingual Plane alone and
    between two letters, and further `texts`. The part of `model` that makes ids is run without the encoder.

    Raises: ExportError where ids differ of a text without a character that is refused, or that one of `texts` has.
    """
    given = list(texts)
    proof = sorted([*all_texts(), *probes()], key=len) + given
    with tempfile.TemporaryDirectory(prefix="wellread.") as directory:
        path = Path(directory) / "tokenizer.onnx"
        path.write_bytes(tokenizer_alone(model).SerializeToString())
        batches = list(batched(proof))
        ran = run_apart(path, [{TEXT: some} for some in batches], runtime=runtime)
    found = (row for i in range(len(batches)) for row in rows_of(ran.outputs, i))
    different = {i for i, (a, b) in enumerate(zip(expected_rows(tokenizer, part, proof), found, strict=True)) if a != b}
    refused = {character for characters in part.tables.refused.values() for character in characters}
    wrong = [i for i in sorted(different) if i >= len(proof) - len(given) or refused.isdisjoint(proof[i])]
    if wrong:
        texts_found = ", ".join(f"{proof[i][:30]!r}" for i in wrong[:3])
        raise ExportError(
            f"a graph with the tokenizer inside must make its ids of {len(proof)} texts; found others of {len(wrong)}, "
            f"such as {texts_found}; leave these texts out, or export without the tokenizer; nothing was kept"
        )
    return TextParity(texts=len(proof) - len(different), refused=len(different))


def batched(texts: Sequence[str]) -> Iterator[list[str]]:
    """Cut texts into batches: within one, each takes as much room as the longest.

    >>> [len(some) for some in batched(["a"] * 600 + ["b" * 99_999, "c" * 99_999])]
    [512, 88, 1, 1]
    """
    some: list[str] = []
    longest = 0
    for text in texts:
        longest = max(longest, len(text))
        if some and (len(some) == BATCH or longest * (len(some) + 1) > ROOM):
            yield some
            some, longest = [], len(text)
        some.append(text)
    if some:
        yield some


def probes() -> Iterator[str]:
    """Give every character that is tried, alone and between two letters."""
    for code in CODES:
        if code < PLANE:
            yield chr(code)
            yield f"a{chr(code)}b"


def expected_rows(tokenizer: Tokenizer, part: TextPart, texts: Sequence[str]) -> list[list[int]]:
    """Return the row of each text, special tokens included, cut as the graph cuts."""
    rows = tokenizer.tokenize(texts)
    joined = part.template.join([rows], seq_length=part.seq_length)
    return Ragged(values=joined.ids, splits=joined.splits).to_list()


def tokenizer_alone(model: Any) -> Any:
    """Return the part of a graph that makes ids of texts, with nothing of the encoder."""
    from onnx import helper

    graph = model.graph
    values = {TEXT, *IDS}
    nodes = [node for node in graph.node if any(name in IDS or name.startswith(PREFIX) for name in node.output)]
    needed = {constant.name for constant in graph.initializer if constant.name.startswith((PREFIX, "ints_"))}
    part = helper.make_graph(
        nodes,
        graph.name,
        [each for each in graph.input if each.name in values],
        [each for each in graph.output if each.name in values],
        [constant for constant in graph.initializer if constant.name in needed],
    )
    return helper.make_model(part, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def ranges(characters: Iterable[str]) -> list[str]:
    """Name the code points of characters, neighbours together.

    >>> ranges("acb\\u0300")
    ['U+0061-0063', 'U+0300']
    """
    codes = np.unique([ord(character) for character in characters])
    runs = np.split(codes, np.flatnonzero(np.diff(codes) > 1) + 1)
    return [f"U+{run[0]:04X}" + (f"-{run[-1]:04X}" if len(run) > 1 else "") for run in runs]


def text_facts(part: TextPart) -> dict[str, str]:
    """Say in a graph's metadata what it takes, and which characters it may read otherwise than the tokenizer."""
    refused = "; ".join(f"{why}: {', '.join(ranges(some))}" for why, some in part.tables.refused.items())
    return {"takes": TEXT, "refused_characters": refused or "none"}


def text_card(part: TextPart) -> str:
    """Say it in words, for a card."""
    lines = [
        f"The tokenizer is inside: of strings `{TEXT}` [batch_size], at least one, the graph makes `{IDS[0]}` and "
        f"`{IDS[1]}`, special tokens included, cut at {part.seq_length} tokens, and gives them too. One node is ONNX "
        "Runtime's own (`com.microsoft.Tokenizer`, in its ordinary builds), and `LabelEncoder` is of `ai.onnx.ml`."
    ]
    for why, some in part.tables.refused.items():
        named = ranges(some)
        more = f" and {len(named) - SHOWN} ranges more, named in the metadata" if len(named) > SHOWN else ""
        lines.append(f"Refused, for their ids may differ: {why} ({', '.join(named[:SHOWN])}{more}).")
    return "\n\n".join(lines)

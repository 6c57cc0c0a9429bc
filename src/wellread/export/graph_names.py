"""What the inputs and outputs of exported graphs are called, and their shapes: the names that other stacks know."""

from __future__ import annotations

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.encoder.heads import LOGITS_OUTPUT, MLM_OUTPUT, POOLING_MASK, SENTENCE_OUTPUT

# our inputs -> those of transformers' tokenizers and of every ONNX export of Hugging Face's
INPUT_NAMES = {
    "input_word_ids": "input_ids",
    "input_mask": "attention_mask",
    "input_type_ids": "token_type_ids",
    POOLING_MASK: POOLING_MASK,
}
# our outputs -> those of transformers' classes, and of sentence-transformers, in the order of the graph: readers that
# know no name take the first
OUTPUT_NAMES = {
    LOGITS_OUTPUT: "logits",
    "sequence_output": "last_hidden_state",
    "pooled_output": "pooler_output",
    SENTENCE_OUTPUT: SENTENCE_OUTPUT,
    MLM_OUTPUT: MLM_OUTPUT,
}
TEXT = "text"  # the input of a graph with a tokenizer inside, strings [batch_size]
ANSWER = ("start_logits", "end_logits")  # what transformers calls the two logits of a token that may be an answer's end
IDS = ("input_ids", "attention_mask")  # what such a graph gives besides
BATCH, TOKENS = "batch_size", "sequence_length"  # names of the axes that have any length


def output_names(checkpoint: Checkpoint) -> list[str]:
    """Name, by our names, what the graph gives: all that the module's tensors are for."""
    head = checkpoint.head
    absent = set() if head is not None and head.outputs else {LOGITS_OUTPUT}
    absent |= set() if checkpoint.config.pooler == "dense_tanh" else {"pooled_output"}
    absent |= set() if checkpoint.has_mlm else {MLM_OUTPUT}
    return [name for name in OUTPUT_NAMES if name not in absent]


def shapes_out(checkpoint: Checkpoint, *, of_text: bool = False) -> dict[str, list[str | int]]:
    """Return the shape of every output under its name in the graph, whose tokenizer is inside if it is `of_text`."""
    if of_text:
        return {**shapes_out(checkpoint), **{name: [BATCH, TOKENS] for name in IDS}}
    head, width = checkpoint.head, checkpoint.config.hidden_size
    shapes: dict[str, list[str | int]] = {
        "last_hidden_state": [BATCH, TOKENS, width],
        "pooler_output": [BATCH, width],
        SENTENCE_OUTPUT: [BATCH, checkpoint.embedding_size],
        MLM_OUTPUT: [BATCH, TOKENS, checkpoint.config.vocab_size],
    }
    named = {name: shapes[name] for name in map(OUTPUT_NAMES.get, output_names(checkpoint)) if name in shapes}
    if head is None or not head.outputs:
        return named
    if head.row.tensors == "qa_outputs":
        return {**{name: [BATCH, TOKENS] for name in ANSWER}, **named}
    return {"logits": [BATCH, *([] if head.row.on_text else [TOKENS]), head.outputs], **named}

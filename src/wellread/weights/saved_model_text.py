"""The tokenizer of a TF Hub SavedModel, encoder or preprocessor: its files in `assets/`, its rules in the graph."""

from __future__ import annotations

from pathlib import Path

from wellread.config import TokenizerConfig
from wellread.errors import TextError
from wellread.text.sentencepiece import load_model
from wellread.text.tokenizer import load_tokenizer
from wellread.weights.lower_case import Text, read_wordpiece
from wellread.weights.saved_model_graph import NAME, Graph, read_graph
from wellread.weights.saved_variables import SavedVariables, read_variables
from wellread.weights.tensorflow import some

ASSETS = "assets"
WORDPIECE = "WordpieceTokenizeWithOffsets"
CASE_FOLD, NORMALIZE = "CaseFoldUTF8", "NormalizeUTF8"  # the lower-casing of tensorflow-text's BertTokenizer is both


def read_preprocessor(directory: Path) -> Text:
    """Read the tokenizer of a SavedModel that stands for itself: a preprocessor, or an encoder with a vocabulary.

    Raises: CheckpointError; TextError where it carries no vocabulary, or rules that wellread does not compute.
    """
    text = read_text(directory, read_graph(directory), read_variables(directory))
    if text is None:
        raise TextError(
            f"a preprocessor was asked of {directory}; found no vocabulary in its {ASSETS}/ and no SentencePiece model "
            f"in its {NAME}; pass the directory of a preprocessor's SavedModel"
        )
    return text


def read_text(directory: Path, graph: Graph, variables: SavedVariables) -> Text | None:
    """Read the tokenizer that a SavedModel carries: a SentencePiece model, a vocabulary, or none.

    Raises: TextError for files or rules that wellread does not compute.
    """
    assets = directory / ASSETS
    model, vocabulary = _one(assets, "*.model", "*.spiece"), _one(assets, "*.txt")
    models = [] if model else graph.sentencepiece_models()
    if model or models:
        _refuse_rules(graph, variables)
    if model:
        config = TokenizerConfig(dialect="spm", model_file=model, vocab_file=vocabulary)
        return Text(tokenizer=load_tokenizer(directory, config))
    if len(models) > 1:
        raise TextError(
            f"{graph.path} must hold one SentencePiece model; found {len(models)}; pass another preprocessor"
        )
    if models:
        config = TokenizerConfig(dialect="spm", model_file="sentencepiece.model", vocab_file=None)
        return Text(tokenizer=load_model(models[0], config, source=f"the model in {graph.path}"))
    if vocabulary is None:
        return None
    said = variables.do_lower_case if variables.do_lower_case is not None else _case_of(graph)
    return read_wordpiece(directory, TokenizerConfig(dialect="tfhub", vocab_file=vocabulary), do_lower_case=said)


def _case_of(graph: Graph) -> bool | None:
    """Say whether a graph that cuts words lower-cases them before."""
    if not graph.uses(WORDPIECE):
        return None
    folds, normalizes = graph.uses(CASE_FOLD), graph.uses(NORMALIZE)
    if normalizes and not folds:
        raise _other_rules(graph, f"{NORMALIZE} without {CASE_FOLD}")
    return folds


def _refuse_rules(graph: Graph, variables: SavedVariables) -> None:
    """Refuse rules before a SentencePiece model: the `spm` dialect has none."""
    rules = [op for op in (CASE_FOLD, NORMALIZE) if graph.uses(op)]
    rules += ["do_lower_case"] if variables.do_lower_case else []
    if rules:
        raise _other_rules(graph, f"{', '.join(rules)} beside a SentencePiece model")


def _other_rules(graph: Graph, found: str) -> TextError:
    return TextError(
        f"the text rules of {graph.path} were asked for; found {found}, which wellread does not compute; "
        "pass another preprocessor"
    )


def _one(assets: Path, *patterns: str) -> str | None:
    """Find the one asset of a kind, and name it from the SavedModel's directory on."""
    found = sorted(path.name for pattern in patterns for path in assets.glob(pattern))
    if len(found) > 1:
        raise TextError(
            f"{assets} must hold one file of the kind {' or '.join(patterns)}; found {some(found)}; remove the others"
        )
    return f"{ASSETS}/{found[0]}" if found else None

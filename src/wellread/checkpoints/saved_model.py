"""An encoder's SavedModel, as on TF Hub, read as data: variables, config and tokenizer. Nothing in it is executed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.families import FAMILIES, family_of
from wellread.checkpoints.huggingface import Source
from wellread.checkpoints.tf_variables import (
    DESCRIPTION,
    EXACT_GELU,
    GOOGLE_GELU,
    LABELS,
    TFHUB,
    TRAINING,
    leave_beside,
    leave_out,
    states,
    to_ours,
)
from wellread.config import EncoderConfig, HeadConfig, SentenceConfig, TokenizerConfig
from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, ConfigError, TextError, WeightsError, nearest, some
from wellread.files import matching
from wellread.formats.arrays import StoredTensor
from wellread.formats.object_graph import OBJECT_GRAPH_KEY, Variable, read_object_graph
from wellread.formats.saved_model_pb import NAME, Graph, read_graph
from wellread.formats.tensor_bundle import read_bundle
from wellread.schema import parse_object, record
from wellread.text.sentencepiece import load_model
from wellread.text.tokenizer import load_tokenizer
from wellread.text.tokenizer_files import Text, read_wordpiece

PREFIX = Path("variables") / "variables"
DO_LOWER_CASE = "do_lower_case"  # the attribute of TF Hub's root objects
TRAINING_PATHS = ("optimizer.", "_optimizer.", "keras_api.metrics.")  # where Keras' models keep what training leaves
# What Keras noted beside the variables, by key: it says nothing about the arithmetic that they do not.
NOTES = {"*/.ATTRIBUTES/OBJECT_CONFIG_JSON": "a layer's settings, as Keras noted them"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedVariables:
    """What a SavedModel's bundle holds, by the variables' names; what no object owns stands under its key."""

    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)
    do_lower_case: bool | None = None  # none: there is no such variable
    description: bytes | None = None  # what wellread's exporter says of the encoder
    ignored: Mapping[str, str] = field(default_factory=dict)


def read_variables(directory: Path) -> SavedVariables:
    """Open the variables of a SavedModel; a preprocessor may have none.

    Raises: CheckpointError: a file is damaged; WeightsError: two variables bear one name.
    """
    prefix = directory / PREFIX
    if not prefix.with_name(f"{prefix.name}.index").is_file():
        return SavedVariables()
    bundle = read_bundle(prefix)
    if OBJECT_GRAPH_KEY not in bundle.strings:
        raise CheckpointError(
            f"a SavedModel of TensorFlow 2 was asked of {directory}; found one of TensorFlow 1, as Estimators make, "
            f"with the variables {some(bundle.tensors)}: they do not tell how many attention heads there are; load the "
            "checkpoint that it was exported from: bert_config.json, vocab.txt and model.ckpt"
        )
    listed = read_object_graph(bundle.string(OBJECT_GRAPH_KEY), source=prefix)
    stored = states(bundle)
    del stored[OBJECT_GRAPH_KEY]
    tables = {key.rpartition("-")[0] for key in stored}  # the keys and values of a lookup table stand apart
    if missing := sorted({variable.key for variable in listed} - stored.keys() - tables):
        raise CheckpointError(
            f"{prefix} was to hold the {len(listed)} variables of its object graph; found none under "
            f"{some(missing)}; fetch the SavedModel again"
        )
    case = _attribute(DO_LOWER_CASE, "bool", listed, stored)
    description = _attribute(DESCRIPTION, "string", listed, stored)
    trained = {variable.key for variable in listed if variable.slot or variable.path.startswith(TRAINING_PATHS)}
    apart = {*trained, case, description}
    names = {variable.key: variable.name for variable in listed}
    pairs = ((names.get(key) or key, tensor) for key, tensor in stored.items() if key not in apart)
    notes = {**NOTES, LABELS: f"told by the variable {DESCRIPTION} too"} if description else NOTES
    tensors, ignored = leave_out(pairs, {**TRAINING, **notes}, source=prefix)
    training = {"optimizer, metrics": f"{len(trained)} variables: what Keras kept of training"} if trained else {}
    return SavedVariables(
        tensors=tensors,
        do_lower_case=bool(stored[case].read()) if case else None,
        description=bundle.string(description) if description else None,
        ignored={**training, **ignored},
    )


def _attribute(name: str, dtype: str, listed: list[Variable], stored: Mapping[str, StoredTensor]) -> str | None:
    """Return the key of the scalar that is an attribute of the root object, or of the one object inside that has it."""
    keys = {
        variable.key: variable.path
        for variable in listed
        if (variable.name == name or f".{variable.path}".endswith(f".{name}")) and variable.key in stored
    }
    keys = {key: path for key, path in keys.items() if (stored[key].dtype, stored[key].shape) == (dtype, ())}
    of_root = [key for key, path in keys.items() if path == name]
    return of_root[0] if of_root else next(iter(keys)) if len(keys) == 1 else None


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
        rules = [op for op in (CASE_FOLD, NORMALIZE) if graph.uses(op)]
        rules += ["do_lower_case"] if variables.do_lower_case else []
        if rules:  # the `spm` dialect has none
            raise _other_rules(graph, f"{', '.join(rules)} beside a SentencePiece model")
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
    lower_case = variables.do_lower_case
    if lower_case is None and graph.uses(WORDPIECE):  # whether a graph that cuts words lower-cases them before
        lower_case = graph.uses(CASE_FOLD)
        if graph.uses(NORMALIZE) and not lower_case:
            raise _other_rules(graph, f"{NORMALIZE} without {CASE_FOLD}")
    return read_wordpiece(directory, TokenizerConfig(dialect="tfhub", vocab_file=vocabulary), do_lower_case=lower_case)


def _other_rules(graph: Graph, found: str) -> TextError:
    return TextError(
        f"the text rules of {graph.path} were asked for; found {found}, which wellread does not compute; "
        "pass another preprocessor"
    )


def _one(assets: Path, *patterns: str) -> str | None:
    """Find the one asset of a kind, and name it from the SavedModel's directory on."""
    names = [path.name for path in matching(assets, *patterns)]
    if len(names) > 1:
        raise TextError(
            f"{assets} must hold one file of the kind {' or '.join(patterns)}; found {some(names)}; remove the others"
        )
    return f"{ASSETS}/{names[0]}" if names else None


POOLER, TYPES = "pooler_transform/kernel", "type_embeddings/embeddings"
LAYER = re.compile(r"transformer/layer_(\d{1,9})/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """Where a size of the encoder can be read: a dimension of a variable."""

    variable: str
    rank: int
    axis: int


SIZES = {
    "vocab_size": Dimension(variable="word_embeddings/embeddings", rank=2, axis=0),
    "hidden_size": Dimension(variable="word_embeddings/embeddings", rank=2, axis=1),
    "max_position_embeddings": Dimension(variable="position_embedding/embeddings", rank=2, axis=0),
    "num_attention_heads": Dimension(variable="transformer/layer_0/self_attention/query/kernel", rank=3, axis=1),
    "intermediate_size": Dimension(variable="transformer/layer_0/intermediate/kernel", rank=2, axis=1),
}
# An operation by which an activation is known, and the activation; BERT's pooler computes Tanh too, so that it is last.
ACTIVATIONS = {"Erf": EXACT_GELU, "Erfc": EXACT_GELU, "Relu": "relu", "Sigmoid": "silu", "Tanh": GOOGLE_GELU}
CONSTANTS = {
    **{"layer_norm_eps": 1e-12, "initializer_range": 0.02},
    **{"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
    "pad_token_id": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What wellread's exporter writes of an encoder into its SavedModel, as JSON in a variable."""

    family: str
    config: EncoderConfig
    head: HeadConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFields:
    """The fields of a config, and how each is known that no file states."""

    family: str
    values: dict[str, Any]
    why: dict[str, str]
    head: HeadConfig | None = None  # of a task, where wellread described one


def described_config(description: bytes, *, source: object) -> EncoderFields:
    """Read the config that wellread's exporter wrote; `source` names the SavedModel.

    Raises: ConfigError for a description that is none, or of an unknown family.
    """
    try:
        described = record(Description, parse_object(description), source=f"the variable {DESCRIPTION} of {source}")
    except ValueError as error:
        raise ConfigError(
            f"the variable {DESCRIPTION} of {source} must describe its encoder; found that {error}; export it again"
        ) from None
    if described.family not in FAMILIES:
        raise ConfigError(
            f"the variable {DESCRIPTION} of {source} names the family {described.family!r}; wellread reads "
            f"{', '.join(FAMILIES)}; upgrade wellread{nearest(described.family, FAMILIES)}"
        )
    return EncoderFields(family=described.family, values=asdict(described.config), why={}, head=described.head)


def infer_config(variables: Mapping[str, StoredTensor], graph: Graph, *, source: object) -> EncoderFields:
    """Infer family and config from the variables and from the operations of the graph; `source` names the SavedModel.

    Raises: WeightsError for variables that are none of BERT or DistilBERT.
    """
    _check_encoder(variables, graph, source)
    sizes = {field: variables[dim.variable].shape[dim.axis] for field, dim in SIZES.items()}
    why = {field: f"{size}, from {SIZES[field].variable}" for field, size in sizes.items()}
    types = variables[TYPES].shape[0] if TYPES in variables else 0
    why["type_vocab_size"] = f"{types}, from {TYPES}" if types else "0: there is no type table"
    layers = 1 + max(int(match[1]) for name in variables if (match := LAYER.match(name)))
    why["num_hidden_layers"] = f"{layers}, the layers that have variables"
    pooler = "dense_tanh" if POOLER in variables else "first_token"
    why["pooler"] = f"{pooler}: there is {'a' if POOLER in variables else 'no'} pooler_transform"
    shape = {"type_vocab_size": types, "pooler": pooler, "num_hidden_layers": layers, **sizes, **CONSTANTS}
    family = family_of(shape)
    op = next(filter(graph.uses, ACTIVATIONS), None)
    act = ACTIVATIONS[op] if op else FAMILIES[family].tfhub_act
    why["hidden_act"] = f"{act}, as " + (
        f"saved_model.pb computes {op}" if op else f"TF Hub's {family} modules have it"
    )
    why |= {field: f"{value}, as TF Hub's modules have it" for field, value in CONSTANTS.items()}
    return EncoderFields(family=family, values={**shape, "hidden_act": act}, why=why)


def _check_encoder(variables: Mapping[str, StoredTensor], graph: Graph, source: object) -> None:
    """Refuse what has not the variables that show an encoder's shape."""
    ranks = {dim.variable: dim.rank for dim in SIZES.values()}
    ranks |= {TYPES: 2} if TYPES in variables else {}
    faults = [f"no {name}" for name in ranks if name not in variables]
    faults += [
        f"{name} of shape {list(variables[name].shape)} where it has {rank} dimensions"
        for name, rank in ranks.items()
        if name in variables and len(variables[name].shape) != rank
    ]
    if faults and graph.tokenizes:
        raise WeightsError(
            f"an encoder was asked of {source}; found a preprocessor, which turns text into ids; load the encoder that "
            "it belongs to, and pass this as tokenizer="
        )
    if faults:
        names = f"its {len(variables)} variables are {some(variables)}" if variables else "it has no variables"
        raise WeightsError(
            f"an encoder of the BERT family was asked of {source}; found {', '.join(faults)}: {names}; "
            "choose a text encoder with the variables of TF Hub's BERT or DistilBERT"
        )
    if POOLER in variables and TYPES not in variables:
        raise WeightsError(
            f"BERT or DistilBERT was asked of {source}; found {POOLER}, which BERT has, without {TYPES}; "
            "choose another module: wellread knows no family of this kind"
        )


HEAD, PAD = "cls/predictions/", "pad_token_id"


def read_saved_model(directory: Path, *, ignore: Collection[str] = (), text: Text | None = None) -> Source:
    """Read the encoder of a SavedModel and its tokenizer; `text` is another's, instead of its own.

    The encoder may stand inside a model of Keras, such as a classifier: its preprocessor is then the tokenizer, and the
    variables of its head are left out with a warning. `ignore` names variables to leave out without one.

    Raises: as `read_encoder`, and TextError without a vocabulary.
    """
    graph, variables = read_graph(directory), read_variables(directory)
    encoder = read_encoder(directory, graph, variables, ignore=ignore)
    text = text or read_text(directory, graph, variables)
    if text is None:
        raise TextError(
            f"a vocabulary was asked of {directory}; this encoder carries none, as DistilBERT's modules on TF Hub; "
            "pass the directory or handle of its preprocessor as tokenizer="
        )
    inferred = {**encoder.inferred, **{f"tokenizer.{rule}": why for rule, why in text.inferred.items()}}
    config, pad = encoder.config, text.tokenizer.special.pad
    if PAD in inferred:
        inferred[PAD] = f"{pad}, the id of {text.tokenizer.config.pad_token}"
        config = replace(config, pad_token_id=pad)
    checkpoint = replace(encoder, config=config, inferred=inferred)
    return Source(directory=directory, checkpoint=checkpoint, tokenizer=text.tokenizer)


def read_encoder(
    directory: Path, graph: Graph, variables: SavedVariables, *, ignore: Collection[str] = ()
) -> Checkpoint:
    """Make a checkpoint of what was read of a SavedModel's `directory`; a vocabulary may say more of it.

    A SavedModel of wellread's says what its config is. Of any other every field is inferred, and `Checkpoint.inferred`
    says from what.

    Raises: CheckpointError, ConfigError; WeightsError where it is no encoder of the BERT family.
    """
    stored, ignored = leave_out(variables.tensors.items(), TFHUB.ignored, source=directory)
    if variables.description is not None:
        fields = described_config(variables.description, source=directory)
    else:
        fields = infer_config(stored, graph, source=directory)
    stored, beside = leave_beside(TFHUB, stored, source=directory, head=fields.head, ignore=ignore)
    config = record(EncoderConfig, fields.values, source=directory)
    mlm = any(name.startswith(HEAD) for name in stored)
    return Checkpoint(
        family=fields.family,
        config=config,
        head=fields.head,
        sentence=SentenceConfig(max_seq_length=config.max_length),
        tensors=to_ours(TFHUB, config, stored, mlm=mlm, source=directory, head=fields.head),
        ignored={**variables.ignored, **ignored, **beside},
        inferred=fields.why,
    )

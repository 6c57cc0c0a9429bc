"""A TensorFlow 1 checkpoint beside `bert_config.json` and `vocab.txt`, as google-research/bert releases them."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.checkpoints.families import bert
from wellread.checkpoints.huggingface import Source
from wellread.checkpoints.tf_variables import GOOGLE_GELU, TF1, TRAINING, leave_beside, leave_out, states, to_ours
from wellread.config import EncoderConfig, SentenceConfig
from wellread.errors import CheckpointError, ConfigError, TextError, some
from wellread.files import matching
from wellread.formats.tensor_bundle import read_bundle
from wellread.schema import account_for, read_json, record
from wellread.text.tokenizer_files import Text, read_wordpiece

CONFIG = "bert_config.json"
CASE = "do_lower_case"
KEYS = replace(bert.FAMILY.keys, used={**bert.FAMILY.keys.used, CASE: CASE})
STATE = "checkpoint"  # TensorFlow's note of which checkpoint of a directory is the latest
LATEST = re.compile(rb'^[ \t]*model_checkpoint_path:[ \t]*"(?:[^"\n]*[/\\])?([^"/\\\n]+)"', re.MULTILINE)
_MAX_STATE = 1 << 16  # bytes of it that are read
VOCABULARIES = ("vocab.txt", "tokenizer.json", "*.model", "*.spiece")
POOLER, HEAD = "bert/pooler/", "cls/predictions/"


def read_tf1(directory: Path, *, ignore: Collection[str] = (), text: Text | None = None) -> Source:
    """Read config, variables and vocabulary of a TF1 checkpoint; `text` is another's, instead of its own.

    `ignore` names keys of `bert_config.json` and variables that may be passed over. The activation "gelu" means
    Google's tanh form.

    Raises: CheckpointError, ConfigError, WeightsError; TextError without a vocabulary.
    """
    path = directory / CONFIG
    keys = account_for(read_json(path), KEYS, source=path, ignore=ignore)
    text = text or _read_text(directory, keys.used.get(CASE), ignore=ignore)
    prefix = directory / find_checkpoint(directory)
    variables, ignored = leave_out(states(read_bundle(prefix)).items(), {**TRAINING, **TF1.ignored}, source=prefix)
    variables, beside = leave_beside(TF1, variables, source=prefix, ignore=ignore)
    values, inferred = _complete(keys.used, text, pooler=any(name.startswith(POOLER) for name in variables))
    config = record(EncoderConfig, values, source=path)
    mlm = any(name.startswith(HEAD) for name in variables)
    checkpoint = Checkpoint(
        family="bert",
        config=config,
        sentence=SentenceConfig(max_seq_length=config.max_length),
        tensors=to_ours(TF1, config, variables, mlm=mlm, source=prefix),
        ignored={**keys.ignored, **ignored, **beside},
        inferred=inferred | {f"tokenizer.{rule}": why for rule, why in text.inferred.items()},
    )
    return Source(directory=directory, checkpoint=checkpoint, tokenizer=text.tokenizer)


def find_checkpoint(directory: Path) -> str:
    """Return the name of the directory's checkpoint, without `.index`; of several, what the file `checkpoint` names.

    Raises: CheckpointError where there is none, or several and no word of which is meant.
    """
    there = [path.name.removesuffix(".index") for path in matching(directory, "*.index")]
    if len(there) == 1:
        return there[0]
    if (directory / STATE).is_file():
        with (directory / STATE).open("rb") as file:
            latest = LATEST.search(file.read(_MAX_STATE))  # the last part of the path that TensorFlow noted
        if latest and (name := latest[1].decode("utf-8", "replace")) in there:
            return name
    if not there:
        raise CheckpointError(
            f"a TensorFlow checkpoint was asked of {directory}; found {CONFIG} and no .index file beside it; "
            "fetch bert_model.ckpt.index and its .data file too"
        )
    raise CheckpointError(
        f"one TensorFlow checkpoint was asked of {directory}; found {len(there)}: {some(there)}, and no file "
        f"`{STATE}` that names one of them; remove the others"
    )


def read_tf1_text(directory: Path, *, ignore: Collection[str] = ()) -> Text:
    """Read the tokenizer alone of a TF1 checkpoint's directory. Raises: CheckpointError, ConfigError; TextError."""
    return _read_text(directory, read_json(directory / CONFIG).get(CASE), ignore=ignore)


def _complete(used: Mapping[str, Any], text: Text, *, pooler: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Add to the keys of `bert_config.json` what it leaves to the code that reads it; return that and the reasons."""
    pad = text.tokenizer.special.pad
    defaults: dict[str, tuple[Any, str]] = {
        "layer_norm_eps": (1e-12, "as google-research/bert has it"),
        "pad_token_id": (pad, f"the id of {text.tokenizer.config.pad_token}"),
    }
    absent = {field: default for field, default in defaults.items() if field not in used}
    if not pooler:
        absent["pooler"] = ("first_token", "the checkpoint has no pooler")
    if used.get("hidden_act", "gelu") == "gelu":
        absent["hidden_act"] = (GOOGLE_GELU, "which google-research/bert computes under the name of gelu")
    values = {field: value for field, value in used.items() if field != CASE}
    values |= {field: value for field, (value, _) in absent.items()}
    return values, {field: f"{value}, {why}" for field, (value, why) in absent.items()}


def _read_text(directory: Path, lower_case: Any, *, ignore: Collection[str]) -> Text:
    """Load the vocabulary; its case stands in `bert_config.json` or Hugging Face's files, else it is inferred."""
    if not any(matching(directory, *VOCABULARIES)):
        raise TextError(
            f"a vocabulary was asked of {directory}; found none of {', '.join(VOCABULARIES)}; "
            "put the vocab.txt of the checkpoint there"
        )
    from wellread.text.tokenizer_reader import open_tokenizer, read_tokenizer  # our own modules start without it

    files = read_tokenizer(directory, ignore=ignore)
    config = files.config
    if config.dialect != "hf":
        return Text(tokenizer=open_tokenizer(directory, files))
    if not isinstance(lower_case, bool | None):
        raise ConfigError(
            f"{CASE} of {directory / CONFIG} must be true or false; found {reprlib.repr(lower_case)}; correct the file"
        )
    settings = directory / "tokenizer_config.json"
    stated = (directory / "tokenizer.json").is_file() or (settings.is_file() and CASE in read_json(settings))
    if lower_case is None and stated:
        lower_case = config.do_lower_case
    return read_wordpiece(directory, config, do_lower_case=lower_case)

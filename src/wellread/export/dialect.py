"""A tokenizer under the text rules of TF Hub, whatever rules it came with."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from wellread.config import TokenizerConfig
from wellread.errors import ExportError
from wellread.text.tokenizer import Tokenizer, load_tokenizer
from wellread.text.tokenizer_files import write_tokenizer

SEQ_LENGTH = 128  # of a preprocessor called on strings
# dialect -> the one of TF Hub that reads the same vocabulary
TFHUB_DIALECTS = {"hf": "tfhub", "tfhub": "tfhub", "spm": "spm", "kobert": "spm"}
# dialect -> what differs in the text rules of TF Hub
DIFFERENCES = {
    "hf": "hf becomes tfhub: special tokens in a text are split like other text, and rare characters differ",
    "kobert": "kobert becomes spm: marks are kept, and a comma stays with the digits before it",
}


def tfhub_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Return the same vocabulary under TF Hub's text rules: `tfhub` for WordPiece, `spm` for SentencePiece.

    Raises: ExportError for rules that have no counterpart there.
    """
    config = tokenizer.config
    if config.dialect not in TFHUB_DIALECTS:
        raise ExportError(
            f"a preprocessor for TF Hub was asked for; found the {config.dialect} dialect, whose tokenizer.json "
            "TensorFlow does not run; export the encoder alone"
        )
    if config.template != "bert":
        name = config.template if isinstance(config.template, str) else "a template of its own"
        raise ExportError(
            f"a preprocessor for TF Hub was asked for; found the special tokens of {name}, and TF Hub's "
            "preprocessors write [CLS] A [SEP] B [SEP]; export the encoder alone"
        )
    if faults := without_counterpart(config):
        raise ExportError(
            f"a preprocessor for TF Hub was asked for; found {', '.join(faults)}, which its text rules cannot do; "
            "export the encoder alone"
        )
    dialect = TFHUB_DIALECTS[config.dialect]
    if dialect == config.dialect:
        return tokenizer
    with tempfile.TemporaryDirectory() as directory:
        files = write_tokenizer(Path(directory), tokenizer, max_length=512)
        config = replace(files, dialect=dialect, strip_accents=None, tokenize_chinese_chars=True)
        return load_tokenizer(Path(directory), config)


def without_counterpart(config: TokenizerConfig) -> list[str]:
    """List the rules that TF Hub's do not have: lower-casing and stripping go together there, or not at all."""
    faults = [] if config.dialect in TFHUB_DIALECTS else [f"the dialect {config.dialect}"]
    if config.strip_accents not in (None, config.do_lower_case):
        faults.append(f"do_lower_case={config.do_lower_case} with strip_accents={config.strip_accents}")
    if not config.tokenize_chinese_chars:
        faults.append("tokenize_chinese_chars=False")
    if config.dialect == "kobert" and config.do_lower_case:
        faults.append("do_lower_case=True before a SentencePiece model")
    return faults

"""What the command line says of itself, and how it answers to names that are near."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import wellread
from wellread.cli.help import ARGUMENT, FIRST, GROUPS, PARAMETERS, VERBS, in_flags
from wellread.cli.main import group

VALUES = {"integer": "3", "float": "0.5", "integer range": "3", "text": "x", "path": "x", "boolean": ""}


def ask(*arguments, code=0):
    result = CliRunner().invoke(group, arguments, prog_name="wellread")
    assert result.exit_code == code, result.output
    return result.output


def verb(name):
    command = group.get_command(click.Context(group), name)
    return command, click.Context(command, info_name=name, help_option_names=["-h", "--help"])


def value(param):
    """Return a value that an option or argument takes."""
    if param.type.name == "choice":
        return param.type.choices[0]
    return "30M" if param.name.endswith("parameters") else VALUES[param.type.name]


def test_the_list_of_verbs_has_a_whole_line_for_each_in_groups():
    lines = ask("--help").splitlines()
    assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage")]
    assert [line for line in lines if line.removesuffix(":") in GROUPS] == [f"{title}:" for title in GROUPS]
    assert len([line for line in lines if re.fullmatch(r"  [a-z-]+ +[A-Z].*\.", line)]) >= len(VERBS)


def test_the_list_imports_no_verb():
    code = "import sys; from wellread.cli.main import group; group.main(['--help'], standalone_mode=False)\n"
    code += "print([name for name in sys.modules if name.startswith('wellread.cli.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['wellread.cli.help', 'wellread.cli.main']"


@pytest.mark.parametrize("name", FIRST)
def test_a_long_help_shows_what_people_use_first_and_then_all(name):
    command, ctx = verb(name)
    short, long = ask(name, "--help"), ask(name, "--help-all")
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    assert len(FIRST[name]) == 10
    assert set(FIRST[name]) <= {option.name for option in options}
    assert short.count("\n  -") <= 14
    assert f"wellread {name} --help-all" in short
    for option in options:
        assert all(re.search(rf"(?m)^  .*{flag}\b", long) for flag in (*option.opts, *option.secondary_opts)), option
    assert "LoopConfig: How to train" in long or name in ("report", "shrink")


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_documented_and_accepted(name):
    command, _ = verb(name)
    options = [param for param in command.params if isinstance(param, click.Option)]
    arguments = [value(param) for param in command.params if isinstance(param, click.Argument)]
    for option in options:
        assert option.help or option.type.name == "choice", option.name
        required = [part for other in options if other.required and other is not option
                    for part in (other.opts[0], value(other))]  # fmt: skip
        for flag in (*option.opts, *option.secondary_opts):
            line = [*arguments, *required, flag, *([] if option.is_flag else [value(option)] * option.nargs)]
            ctx = command.make_context(name, line, parent=click.Context(group))
            assert ctx.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embd"], "No such command 'embd' (did you mean embed?)."),
        (["embed", "--modl", "x"], "No such option '--modl' (did you mean --model?)."),
        (["finetune", "--lr", "1"], "No such option '--lr' (did you mean --learning-rate?)."),
        (["pretrain", "--epochs", "1"], "No such option '--epochs' (did you mean --num-train-epochs?)."),
        (["distill", "--batch-size", "1"], "'--batch-size' (did you mean --per-device-train-batch-size?)."),
        (["embed", "--dim", "1"], "No such option '--dim' (did you mean --truncate-dim?)."),
        (["embed", "--zzz"], "No such option '--zzz'."),
    ],
)
def test_a_wrong_name_gets_the_near_one(arguments, message):
    assert message in ask(*arguments, code=2)


def test_versions_and_python_m_wellread():
    for flag in ("-V", "--version"):
        done = subprocess.run([sys.executable, "-m", "wellread", flag], capture_output=True, text=True, check=True)
        assert done.stdout == f"wellread {wellread.__version__}, Python {sys.version.split()[0]}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_click_s_own_and_in_the_help(shell):
    line = next(line for line in ask("--help").splitlines() if line.strip().startswith(shell))
    assert f"_WELLREAD_COMPLETE={shell}_source wellread" in line
    words = {"COMP_WORDS": "wellread fi", "COMP_CWORD": "fi" if shell == "fish" else "1"}
    environment = {**os.environ, **words, "_WELLREAD_COMPLETE": f"{shell}_complete"}
    code = "from wellread.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "fill-mask" in done.stdout
    assert "finetune" in done.stdout
    assert "embed" not in done.stdout


@pytest.mark.parametrize(
    ("message", "flags"),
    [
        ('pass on_long="chunk" or on_long="error"', "pass --on-long chunk or --on-long error"),
        ("or pass prompt='query: '", "or pass --prompt 'query: '"),
        ("pass prompt= instead", "pass --prompt instead"),
        ("backend='torch' runs on a GPU", "--backend torch runs on a GPU"),
        ("local_files_only=True was given", "--local-files-only was given"),
        ("pass backend='torch' (--backend)", "pass --backend torch (--backend)"),
        ("pass local_files_only=True (--local-files-only)", "pass --local-files-only"),
        ("pass backend=['one']", "pass --backend one"),
        ("other_name=3 and x.backend=4 stay", "other_name=3 and x.backend=4 stay"),
    ],
)
def test_messages_speak_in_flags(message, flags):
    params = [click.Option([flag]) for flag in ("--on-long", "--prompt", "--backend")]
    assert in_flags(message, [*params, click.Option(["--local-files-only"], is_flag=True)]) == flags


# Arguments that messages name and that no verb has, with the reason.
PYTHON_ONLY = {
    "average": "of metrics that no verb reaches",
    "check_embedding_ctx_length": "an argument of LangChain",
    "device": "an argument of sentence-transformers",
    "inputs": "a second name in Python",
    "orient": "an argument of pandas",
    "outputs": "of a call of the module",
    "pool": "an argument of sentence-transformers",
    "batched": "an argument of datasets",
    "sentences": "a second name in Python",
    "seq_length": "of a call of the module",
    "strip_accents": "a key of tokenizer_config.json",
    "token": "a secret: the command line takes it from HF_TOKEN",
    "tokenize_chinese_chars": "a key of tokenizer_config.json",
    "trust_remote_code": "an argument of other libraries",
    "concurrency": "of wellread.ray",
    "checkpoint_path": "of wellread.ray",
    "output_column": "of EncodeBatch",
}
ROOMS_OF_PYTHON = ("bench", "compat", "keras")  # no verb runs into their messages
SOURCE = Path(wellread.__file__).parent


def arguments_of_messages():
    """Name each argument that the text of an error or a warning writes as Python has it, and where."""
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] in ROOMS_OF_PYTHON:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) or (
                isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn"
            ):
                texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                for text in filter(lambda text: isinstance(text, str), texts):
                    yield from ((match[1], f"{path.name}:{node.lineno}") for match in ARGUMENT.finditer(text))


def test_every_argument_that_a_message_names_is_an_option_or_python_s_alone():
    options = {option.name for name in VERBS for option in verb(name)[0].params if isinstance(option, click.Option)}
    named = dict(arguments_of_messages())
    unknown = {name: place for name, place in named.items() if PARAMETERS.get(name, name) not in options}
    assert unknown.keys() <= PYTHON_ONLY.keys(), unknown
    assert {"on_long", "prompt", "tokenizer", "backend", "batch_size"} <= named.keys()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["a word " * 400],
            0,
            "lost at least 254 tokens; this module takes 256 of a text; pass --on-long chunk or --on-long error",
        ),
        (["--on-long", "error", "a word " * 400], 3, "shorten them, or pass --on-long truncate or --on-long chunk"),
        (["--on-long", "cut", "a"], 3, "--on-long cut is unknown; it is one of truncate, error, chunk"),
        (["--prompt-name", "query", "a"], 3, "leave --prompt-name out, or pass the words themselves as --prompt"),
        (["--batch-size", "-1", "a"], 3, "--batch-size must be at least 1; found -1"),
        (["--backend", "cuda", "a"], 3, "--backend torch runs on a GPU where there is one"),
        (["그 영화는 정말 재미있었고 다시 보고 싶다."], 0, "a vocabulary of the texts' language was expected"),
    ],
)
def test_embed_speaks_in_flags(arguments, code, message):
    command = [sys.executable, "-m", "wellread", "embed", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_embed_puts_a_prompt_before_every_text():
    assert ask("embed", "--prompt", "a film: ", "good") == ask("embed", "a film: good")

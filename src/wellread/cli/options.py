"""What several verbs share: how a module is named, where texts come from, options made of a dataclass."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import click

from wellread.cli.help import Setting

if TYPE_CHECKING:
    from wellread.module import Module

F = TypeVar("F", bound=Callable[..., Any])

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


MODEL = "default, a path, or a handle; see wellread catalog."
BACKENDS = (
    "auto (native where that computes the module, else openvino), native, openvino, torch (a GPU where there is one), "
    "numpy, tensorflow, keras or onnx."
)
TOKENIZER = "The module, preprocessor or directory whose tokenizer is taken instead of the module's own."

# Shorter names of settings, which other verbs know too.
SHORT = {"text_column": ("--text", "--column"), "pair_column": ("--pair",)}

# What `module_options` adds, for commands that take other options beside them.
LOADING = ("model", "backend", "revision", "local_files_only", "tokenizer", "ignore")


def module_options(command: F) -> F:
    """Add --model and what `wellread.load` takes beside it, under the names that `load_module` takes."""
    return _module_options(command, {"default": "default", "help": MODEL})


def teacher_options(command: F) -> F:
    """Add what `module_options` does, with any number of --model: `load_modules` takes them."""
    several = f"{MODEL} Several teach together; the student's vectors lie in the space of the first."
    return _module_options(command, {"default": ("default",), "multiple": True, "help": several})


def _module_options(command: F, model: dict[str, Any]) -> F:
    section: dict[str, Any] = {"cls": Setting, "section": "The module"}
    options = (
        click.option("-m", "--model", show_default=True, **model, **section),
        click.option("--backend", default="auto", show_default=True, help=BACKENDS, **section),
        click.option("--revision", help="Branch, tag or commit of a Hugging Face id.", **section),
        click.option("--local-files-only", is_flag=True, help="Use the cache and make no network call.", **section),
        click.option("--tokenizer", metavar="HANDLE", help=TOKENIZER, **section),
        click.option(
            "--ignore",
            multiple=True,
            metavar="NAME",
            help="Pass over this configuration key or tensor; * matches.",
            **section,
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def load_module(model: str, **options: Any) -> Module:
    """Load what `module_options` describes."""
    import wellread

    module: Module = wellread.load(model, **options)
    return module


def was_given(name: str) -> bool:
    """Say whether an option stands on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def load_named(handle: str | None, model: str, **options: Any) -> Module:
    """Load what the argument HANDLE names, or else --model. Raises: UsageError for both."""
    if handle is not None and was_given("model"):
        raise click.UsageError(f"one module was expected; found {handle} and --model {model}; name one of them")
    return load_module(handle or model, **options)


def load_modules(model: Sequence[str], **options: Any) -> list[Module]:
    """Load what `teacher_options` describes. Raises: UsageError for what says which one module is meant, of several."""
    of_one = [f"--{name}" for name in ("revision", "tokenizer") if options[name]]
    if of_one and len(model) > 1:
        raise click.UsageError(f"{' and '.join(of_one)}: of one --model; found {len(model)}; save each by itself first")
    return [load_module(name, **options) for name in model]


def options_of(config: Any) -> Callable[[F], F]:
    """Make a flag of every field of a dataclass, nested ones included; `gather` puts the values back together.

    Given an instance, its values are the defaults that --help shows; those of a class are the ones it is made with.
    """
    defaults = config() if isinstance(config, type) else config
    words = words_of(type(defaults))
    section = f"{type(defaults).__name__}: {re.split('[.;:]', type(defaults).__doc__ or '')[0]}"

    def add(command: F) -> F:
        for field in reversed(dataclasses.fields(defaults)):
            default = getattr(defaults, field.name)
            if dataclasses.is_dataclass(default):
                command = options_of(default)(command)
                continue
            name = field.name.replace("_", "-")
            flags = [*SHORT.get(field.name, ()), f"--{name}/--no-{name}" if isinstance(default, bool) else f"--{name}"]
            about = words.get(field.name, "")
            about = f"{about[:1].upper()}{about[1:]}.  [default: {'none' if default == '' else default}]".removeprefix(
                ".  "
            )
            command = click.option(
                *flags, field.name, type=type(default), default=None, help=about, cls=Setting, section=section
            )(command)
        return command

    return add


def words_of(config: type[Any]) -> dict[str, str]:
    """Return what a dataclass says of each of its settings: the words beside their types."""
    hints = get_type_hints(config, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def gather(config: Any, given: dict[str, Any]) -> Any:
    """Return `config` with the values that were given, nested fields included."""
    changes = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = gather(value, given)
        elif given.get(field.name) is not None:
            changes[field.name] = given[field.name]
    return dataclasses.replace(config, **changes)

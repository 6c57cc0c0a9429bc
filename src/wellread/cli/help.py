"""What the command line says of itself: verbs in groups, long helps in two sizes, near names, messages in flags."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from wellread.errors import WellreadError, nearest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# group -> verb -> one line; a verb's file bears its name and is imported when the verb is used
GROUPS = {
    "Use a module": {
        "embed": "Turn texts into vectors.",
        "predict": "Answer with a fine-tuned module: labels, scores, tags or spans.",
        "rank": "Rank documents by how well they answer a query.",
        "search": "Find the vectors that are most alike a query.",
        "tokenize": "Show the tokens of texts and their ids.",
        "fill-mask": "Guess the masked words of a text.",
        "evaluate": "Score a module, or predictions, on a labelled file.",
        "info": "Describe a module.",
    },
    "Train": {
        "pretrain": "Train a masked language model on plain text.",
        "finetune": "Train a module for a task on a labelled file.",
        "distill": "Train a small student to agree with a large teacher.",
        "shrink": "Find the small module that keeps what is asked of it.",
        "report": "Compare modules by size, score and speed; draw training runs.",
    },
    "Ship": {
        "serve": "Serve modules over HTTP: OpenAI's, TEI's and others' routes.",
        "mcp": "Offer modules to assistants, by the Model Context Protocol.",
        "export": "Write a module for TF Hub, transformers or ONNX Runtime.",
        "certify": "Say how near an export or a running server is to a module.",
        "revive": "Make a dead TF Hub handle work again.",
        "trim": "Drop the vocabulary that a corpus or a language does not need.",
        "quantise": "Store a module's matrices as int8, within a budget of accuracy.",
        "card": "Show a module's card, or tell it licence, texts and scores.",
        "push": "Upload a module to the Hugging Face hub.",
    },
    "Find and maintain": {
        "catalog": "List the published modules that wellread knows.",
        "pull": "Download a module and check every file.",
        "verify": "Check the files of modules that were pulled.",
        "doctor": "Examine this installation and its caches.",
        "bench": "Measure speed and memory on this machine.",
    },
}
VERBS = {verb: line for group in GROUPS.values() for verb, line in group.items()}

# The options that --help shows of a verb that has many, in this order; --help-all shows every one.
FIRST = {
    "pretrain": (
        *("output", "model", "shape", "train_vocab", "vocab_size", "dev", "resume"),
        *("num_train_epochs", "learning_rate", "max_seq_length"),
    ),
    "finetune": (
        *("output", "model", "dev", "format_", "text", "label", "resume"),
        *("num_train_epochs", "learning_rate", "per_device_train_batch_size"),
    ),
    "distill": (
        *("output", "model", "student", "recipe", "resume", "num_hidden_layers", "hidden_size"),
        *("num_train_epochs", "learning_rate", "per_device_train_batch_size"),
    ),
    "shrink": (
        *("output", "model", "train", "dev", "max_size", "min_speed", "keep"),
        *("budget", "dry_run", "resume"),
    ),
    "report": ("output", "task", "dev", "baseline", "train", "format_", "text", "pair", "label", "rounds"),
}
ALWAYS = ("overwrite", "as_json", "help", "help_all")

# What other programs call our options.
ALIASES = {
    "--lr": ("--learning-rate",),
    "--epochs": ("--num-train-epochs",),
    "--num-epochs": ("--num-train-epochs",),
    "--batch-size": ("--per-device-train-batch-size", "--batch-size"),
    "--train-batch-size": ("--per-device-train-batch-size",),
    "--steps": ("--max-steps",),
    "--max-length": ("--max-seq-length",),
    "--out": ("--output",),
    "--output-dir": ("--output",),
    "--device": ("--backend",),
    "--normalise": ("--normalize",),
    "--query": ("--prompt-name",),
}


class Setting(click.Option):
    """An option that stands under a heading of its own in --help."""

    def __init__(self, *arguments: Any, section: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.section = section


class Verb(click.Command):
    """A command whose help is in sections, and in two sizes where FIRST names it."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Add --help-all where there is more than --help shows."""
        params = super().get_params(ctx)
        if self.name not in FIRST:
            return params

        def show_all(ctx: click.Context, _: click.Parameter, value: bool) -> None:
            if value and not ctx.resilient_parsing:
                ctx.meta["wellread.all"] = True
                click.echo(ctx.get_help())
                ctx.exit()

        show = click.Option(
            ["--help-all"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            help="Show every option and exit.",
            callback=show_all,
        )
        return [*params, show]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options that --help shows, or every one of them under its heading."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        if self.name in FIRST and not ctx.meta.get("wellread.all"):
            named = {"help" if "--help" in option.opts else str(option.name): option for option in options}
            first = [named[name] for name in (*FIRST[self.name], *ALWAYS) if name in named]
            _section(ctx, formatter, "Options", first)
            formatter.write_paragraph()
            formatter.write_text(f"{len(options) - len(first)} more options: {ctx.command_path} --help-all")
            return
        sections: dict[str, list[click.Option]] = {}
        for option in options:
            sections.setdefault(getattr(option, "section", "Options"), []).append(option)
        for title, members in sections.items():
            _section(ctx, formatter, title, members)


def _section(ctx: click.Context, formatter: click.HelpFormatter, title: str, options: list[click.Option]) -> None:
    records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
    with formatter.section(title):
        formatter.write_dl(records)


class Verbs(click.Group):
    """The verbs, each imported when it is used; a wrong name gets a near one, a known error becomes one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every verb."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one verb, and give it help in sections."""
        if name not in VERBS:
            return None
        plain = importlib.import_module(f"wellread.cli.{name.replace('-', '_')}").command
        return Verb(name, callback=plain.callback, params=plain.params, help=plain.help, epilog=plain.epilog)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a verb, or say which is near."""
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {name!r}{nearest(name, VERBS)}.", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs in groups, a line each, without importing any."""
        for title, verbs in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(list(verbs.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a verb without importing all of them."""
        from click.shell_completion import CompletionItem

        verbs = [CompletionItem(verb, help=line) for verb, line in VERBS.items() if verb.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; an error that wellread knows is one line and exit 3."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            params = error.ctx.command.get_params(error.ctx) if error.ctx else []
            flags = [flag for param in params for flag in (*param.opts, *param.secondary_opts)]
            # what was meant: a flag by its name elsewhere, by its last words, or by its spelling
            near = [flag for flag in ALIASES.get(error.option_name, ()) if flag in flags]
            near = near or [flag for flag in flags if flag.endswith(error.option_name.removeprefix("-"))]
            hint = f" (did you mean {near[0]}?)" if near else nearest(error.option_name, flags)
            raise click.UsageError(f"No such option {error.option_name!r}{hint}.", ctx=error.ctx) from None
        except WellreadError as error:
            verb = self.get_command(ctx, ctx.invoked_subcommand or "")
            click.echo(f"wellread: {in_flags(str(error), verb.params if verb else ())}", err=True)
            ctx.exit(3)


# An argument as a message writes it: name="value", name=value, or name= alone.
ARGUMENT = re.compile(r"""(?<![\w.\-])([a-z][a-z_]*)=(?:"([^"]*)"|'([^']*)'|\['([^']*)'\]|([\w./*+-]*))""")


def in_flags(message: str, params: Iterable[click.Parameter]) -> str:
    """Return a message with the arguments that it names written as options of the verb.

    The library writes an argument that a user may pass as `on_long="chunk"` or `prompt=`; here it becomes
    `--on-long chunk` or `--prompt`. Names that are no options of the verb stay.
    """
    options = [param for param in params if isinstance(param, click.Option)]
    flags = {name.strip("-").replace("-", "_"): option for option in options for name in option.opts}
    flags |= {option.name: option for option in options}

    def flag(match: re.Match[str]) -> str:
        option = flags.get(PARAMETERS.get(match[1], match[1]))
        if option is None:
            return match[0]
        long = next((name for name in option.opts if name.startswith("--")), option.opts[0])
        value = next(filter(None, match.groups()[1:]), "")
        if option.is_flag:
            return option.secondary_opts[0] if value == "False" and option.secondary_opts else long
        return f"{long} {shlex.quote(value)}" if value else long

    return re.sub(r"(--[\w-]+) \(\1\)", r"\1", ARGUMENT.sub(flag, message))  # of messages that name both


# Arguments of the library whose option has another name in its verb's function.
PARAMETERS = {
    "check_fingerprint": "ignore_fingerprint",
    "format": "format_",
    "handle": "model",
    "output_dir": "run_dir",
    "resume_from_checkpoint": "resume",
}

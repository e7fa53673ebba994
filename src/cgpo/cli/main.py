"""The console script `cgpo`: finds the verb and lets it run.

Nothing but the standard library is imported before the verb is known, so that `cgpo --help` is there at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cgpo import __version__
from cgpo.cli.verb import Verb
from cgpo.errors import choose

GROUPS = {
    "Train": ("train", "sft", "reward", "warmup", "train-judge"),
    "Measure": ("evaluate", "judge", "benchmark", "reproduce"),
    "Look": ("plan", "report", "dashboard"),
}
"""All verbs, as the help page lists them."""
NAMES = tuple(name for names in GROUPS.values() for name in names)
EXAMPLES = (
    ("cgpo train optimizer=crpg judges=all", "the paper's five tasks in miniature"),
    ("cgpo evaluate 'policies=[runs/a,runs/b]'", "two runs side by side"),
    ("cgpo report runs/", "all runs on one page"),
)


def main(arguments: Sequence[str] | None = None, program: Sequence[str] = ("cgpo",)) -> None:
    """Runs the command line.

    Args:
        arguments: those of the process by default.
        program: what a person typed before them.
    """
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "help"):
        run_verb(find(rest[0]), ["--help"], (*program, rest[0])) if rest and rest[0] in NAMES else print(help_page())
    elif name == "--version":
        print(f"cgpo {__version__}")
    elif name.partition("=")[0] in ("-sc", "--shell-completion"):
        from cgpo.cli.completion import complete

        complete([name, *rest])
    elif name in NAMES:
        run_verb(find(name), rest, (*program, name))
    else:
        sys.exit(f"error: {name}: there is no such verb; {choose(name, NAMES)}")


def run_verb(verb: Verb, arguments: Sequence[str], line: Sequence[str]) -> None:
    """Runs a verb, or shows its help page.

    Args:
        verb: what is to be done.
        arguments: that follow it.
        line: what a person typed before them.
    """
    if "--version" in arguments:
        main(["--version"])
    elif "--help" in arguments or "-h" in arguments:
        from cgpo.cli.help import show_help

        show_help(verb, arguments)
    else:
        from cgpo.cli.compose import compose_and_run

        compose_and_run(verb, arguments, (*line, *arguments))


def find(name: str) -> Verb:
    """The verb of a name in `NAMES`."""
    match name:
        case "train":
            from cgpo.cli.train import VERB
        case "sft":
            from cgpo.cli.sft import VERB
        case "reward":
            from cgpo.cli.reward import VERB
        case "warmup":
            from cgpo.cli.warmup import VERB
        case "train-judge":
            from cgpo.cli.train_judge import VERB
        case "evaluate":
            from cgpo.cli.evaluate import VERB
        case "judge":
            from cgpo.cli.judge import VERB
        case "benchmark":
            from cgpo.cli.benchmark import VERB
        case "reproduce":
            from cgpo.cli.reproduce import VERB
        case "plan":
            from cgpo.cli.plan import VERB
        case "report":
            from cgpo.cli.report import VERB
        case "dashboard":
            from cgpo.cli.dashboard import VERB
        case _:
            raise ValueError(f"{name}: there is no such verb")
    return VERB


def help_page() -> str:
    """All verbs, a line each."""
    lines = [
        "Post-trains a language model on many tasks at once, under hard constraints.",
        "",
        "  cgpo VERB [group=choice] [key=value] …",
    ]
    for group, names in GROUPS.items():
        lines += ["", group, *(f"  {name:<12} {find(name).summary}" for name in names)]
    width = max(len(line) for line, _ in EXAMPLES)
    lines += ["", "Examples", *(f"  {line:<{width}}  {what}" for line, what in EXAMPLES)]
    lines += [
        "",
        "cgpo VERB --help explains a verb; cgpo --version says which version this is.",
        'Completion: eval "$(cgpo -sc install=bash)", cgpo -sc install=fish | source',
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""The group of all commands, and the only place where errors are caught."""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from melaudit.cli.auditing import demo, run, worker
from melaudit.cli.exporting import export
from melaudit.cli.extending import new
from melaudit.cli.inspecting import convert, detectors, doctor, explain, outcomes
from melaudit.cli.machine import share_the_machine
from melaudit.cli.mitigating import mitigate
from melaudit.cli.outputs import diff, gate, policy, record, report
from melaudit.cli.scanning import scan
from melaudit.cli.starting import init
from melaudit.cli.verdicts import INTERNAL, INTERRUPTED
from melaudit.errors import MelauditError, out_of_memory
from melaudit.terminal import printable

COMMANDS: dict[str, tuple[click.Command, ...]] = {
    "Audit a model": (run, init, doctor, demo, worker),
    "Look at a model or at images": (explain, outcomes, scan, convert, detectors),
    "After an audit": (report, mitigate, diff, gate, policy, record, export),
    "Add to melaudit": (new,),
}
"""Heading of the help text -> the commands under it."""


class Commands(click.Group):
    """A group whose help lists its commands under headings, each with its whole first sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands; click itself would cut their sentences off."""
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(c.name or "", first_sentence(c)) for c in commands])


def first_sentence(command: click.Command) -> str:
    """Return what a command does, without what else its help text says."""
    return " ".join((command.help or "").partition("\n\n")[0].split())


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="melaudit")
def cli() -> None:
    """Audit an image classifier before deployment: does it decide for the wrong reasons?

    Exit codes: 0 pass, 1 findings, 2 could not run, 3 inconclusive, 4 internal error,
    130 interrupted (`melaudit run` then goes on where it stopped).
    """


for command in (command for commands in COMMANDS.values() for command in commands):
    cli.add_command(command)


_EXHAUSTED = (
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
)


def _exhausted(error: Exception) -> str | None:
    """Return what to say of an error of the machine, which is no fault of melaudit."""
    if out_of_memory(error):
        return (
            "memory ran out. Run the same command again with a smaller --batch-size, fewer "
            "--workers or --device cpu: what is finished is kept"
        )
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        return (
            f"the system refused to go on: {printable(error.strerror or str(error))}. Make room "
            "(disk, open files, memory) and run the same command again: what is finished is kept"
        )
    return None


def _keeps(arguments: list[str] | None) -> bool:
    """Tell whether a command keeps what it finished, so that the same one goes on from there."""
    given = sys.argv[1:] if arguments is None else arguments
    return next(iter(given), None) == run.name


def _terminated(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; the only place where errors are caught."""
    signal.signal(signal.SIGTERM, _terminated)  # a batch system's stop is an interruption too
    share_the_machine()
    try:
        code = cli.main(arguments, prog_name="melaudit", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except MelauditError as error:
        click.echo(f"melaudit: {printable(str(error))}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        goes_on = "; the same command goes on where it stopped" if _keeps(arguments) else ""
        click.echo(f"melaudit: interrupted{goes_on}", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone
        sys.stdout = None
        return 0
    except Exception as error:
        if exhausted := _exhausted(error):
            click.echo(f"melaudit: {exhausted}", err=True)
            return MelauditError.exit_code
        if os.environ.get("MELAUDIT_TRACEBACK"):
            raise
        click.echo(
            f"melaudit: internal error: {printable(f'{type(error).__name__}: {error}')}\n"
            "This is a fault of melaudit. MELAUDIT_TRACEBACK=1 shows where; please report it.",
            err=True,
        )
        return INTERNAL

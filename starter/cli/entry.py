"""The entry point: run the command, and turn every refusal into a status, a sentence and, if asked for, JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.exceptions import TyperException

from domain.errors import TeikiError
from starter.cli.output import JSON_FLAG, errors, print_json

if TYPE_CHECKING:
    from pydantic import ValidationError

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and answer its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = JSON_FLAG in arguments
    try:
        return _run(arguments)
    except TeikiError as error:
        return _refused(error.as_json(), as_json=as_json)
    except TyperException as error:
        return _misused(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        errors().print("Interrupted.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`teiki … | head`): nobody is left to tell, and Python must not try at its exit.
        sys.stdout = None
        return EXIT_REFUSED


def _run(arguments: list[str]) -> int:
    from starter.cli.app import app  # noqa: PLC0415 - the tree of commands is built once its errors are caught

    command = typer.main.get_command(app)
    try:
        answer = command.main(args=arguments, prog_name="teiki", standalone_mode=False)
    except ValueError as error:
        invalid = _validation(error)
        if invalid is None:
            raise
        raise invalid from error
    return answer if isinstance(answer, int) else EXIT_OK


def _validation(error: ValueError) -> TeikiError | None:
    """Pydantic's refusal as ours, naming the field; None for any other ValueError, which is a defect."""
    from pydantic import ValidationError  # noqa: PLC0415 - only when something went wrong

    return _invalid_input(error) if isinstance(error, ValidationError) else None


def _invalid_input(error: ValidationError) -> TeikiError:
    from domain.errors import ErrorCode  # noqa: PLC0415 - as above

    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return TeikiError(ErrorCode.INVALID_INPUT, f"{field}: {first['msg']}", field=field)


def _refused(problem: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print_json(problem)
        return EXIT_REFUSED
    facts = {name: value for name, value in problem.items() if name not in ("code", "message")}
    told = ", ".join(f"{name}={_fact(value)}" for name, value in facts.items())
    errors().print(
        f"✗ {problem['code']}: {problem['message']}" + (f" ({told})" if told else ""),
        style="red",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return EXIT_REFUSED


def _fact(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _misused(error: TyperException, *, as_json: bool) -> int:
    message = error.format_message()
    if not message:  # a group without a command: Typer has printed its help
        return EXIT_USAGE
    if as_json:
        print_json({"code": "usage", "message": message})
        return EXIT_USAGE
    context = getattr(error, "ctx", None)
    told = errors()
    if context is not None:
        told.print(context.get_usage(), markup=False, highlight=False, soft_wrap=True)
        told.print(
            f"Try '{context.command_path} --help'.",
            markup=False,
            highlight=False,
            style="dim",
            soft_wrap=True,
        )
    told.print(f"✗ usage: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    return EXIT_USAGE

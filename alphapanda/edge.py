"""The outermost edge of a process: the one place where an error becomes words on stderr and an exit code."""

import sys
import traceback
from collections.abc import Callable

from alphapanda.domain.errors import AlphaPandaError, InvalidValueError

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def at_the_edge(run: Callable[[], int | None], *, debug: bool = False) -> int:
    """Run it and return the exit code: 0 (or what it returned), 2 for bad input or settings, 1 for other failures.

    With `debug` the traceback is shown as well.
    """
    try:
        return run() or 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except AlphaPandaError as error:
        # Of a refusal that another process decided, the code it gave.
        code = getattr(error, "refusal_code", error.code)
        return _report(error, code, error.next_action, debug=debug)
    except Exception as error:  # a bug of ours; whoever sees it should know that it is one
        return _report(error, "INTERNAL_ERROR", "Run it again with --debug, and report what it shows.", debug=debug)


def _report(error: Exception, code: str, next_action: str, *, debug: bool) -> int:
    from alphapanda.redaction import redact_text  # noqa: PLC0415 - loads pydantic, which a good end does not need

    if debug:
        sys.stderr.write(redact_text("".join(traceback.format_exception(error))))
    what = str(error) or type(error).__name__
    sys.stderr.write(redact_text(f"error: {what} [{code}]\n  next: {next_action}\n"))
    # SettingsError is told by its code: importing the settings costs a command that does not use them 0.2 s.
    return EXIT_BAD_INPUT if isinstance(error, InvalidValueError) or code == "SETTINGS_INVALID" else EXIT_FAILED

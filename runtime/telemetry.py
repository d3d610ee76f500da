"""What a process says about itself: logs without personal data, and one Prometheus endpoint.

Logs go to stderr (stdout belongs to answers: `--json` promises one document there), as JSON lines by default.
Temporal's Rust core would print to stdout on its own; here it is forwarded into the same Python logging.
Every record passes a filter that removes e-mail addresses and anything that looks like a card number, in
the message, the arguments, the extra fields and the traceback: codes and ids only (quality.md, "Security").

Business metrics (`teiki_charges_total{outcome,decline}`, `teiki_unknown_outcomes_total`,
`teiki_suspensions_total{reason}`) are counted by activities and workflows on Temporal's metric meter, so that they
appear beside the SDK's own at the same address.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal

from pythonjsonlogger.json import JsonFormatter
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from runtime.settings import Settings

_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
# 13 to 19 digits, also grouped by spaces or dashes; not inside longer runs (hashes, ULIDs have letters
# around).
_CARD: Final = re.compile(r"(?<![0-9A-Za-z.])\d(?:[ -]?\d){12,18}(?![0-9A-Za-z])")

_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# The core's other crates are quiet below ERROR, as in the SDK's own default.
_CORE_LEVEL: Final = {"DEBUG": "INFO", "INFO": "WARN", "WARNING": "WARN", "ERROR": "ERROR"}


def redact(text: str) -> str:
    """The text without e-mail addresses and card-like numbers."""
    return _CARD.sub("[number]", _EMAIL.sub("[e-mail]", text))


def _redact_value(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return "[number]" if _CARD.fullmatch(str(abs(value))) else value
    if isinstance(value, Mapping):
        return {_redact_value(key): _redact_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(item) for item in value]
    return redact(str(value))


class RedactingFilter(logging.Filter):
    """Rewrites records before any formatter sees them; attach it to handlers, so that no logger goes
    around it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true; the record is changed in place."""
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None  # the formatter must not render the exception again, unredacted
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for name in vars(record).keys() - _STANDARD_FIELDS:
            if name == "temporal_log":  # the core's own object; its fields are in the message already
                delattr(record, name)
            else:
                setattr(record, name, _redact_value(getattr(record, name)))
        return True


def configure_logging(
    level: str = "INFO", log_format: Literal["json", "text"] = "json", *, stream: Any = None
) -> logging.Handler:
    """Sends every log line to stderr (or `stream`), redacted. Calling it again replaces the earlier
    set-up.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.addFilter(RedactingFilter())
    if log_format == "json":
        handler.setFormatter(
            JsonFormatter(
                "{levelname}{name}{message}{exc_text}",
                style="{",
                timestamp=True,
                rename_fields={"levelname": "level", "name": "logger", "exc_text": "error"},
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.set_name("teiki")
    root = logging.getLogger()
    for existing in [other for other in root.handlers if other.get_name() == "teiki"]:
        root.removeHandler(existing)
    root.addHandler(handler)
    root.setLevel(level)
    return handler


def start_telemetry(settings: Settings) -> Runtime:
    """Logging as the settings say, and the Temporal runtime of this process; call once, before any client."""
    configure_logging(settings.log_level, settings.log_format)
    return process_runtime(settings)


def process_runtime(settings: Settings | None = None) -> Runtime:
    """The Temporal runtime of this process, made on first use; a runtime is a pool of threads, so
    there is one.
    """
    if not _process_runtime:
        level, address = (
            ("WARNING", None) if settings is None else (settings.log_level, settings.metrics_address)
        )
        runtime = Runtime(telemetry=telemetry_config(level, address))
        # Also the default one, so that a client made elsewhere in this process does not print on stdout.
        Runtime.set_default(runtime, error_if_already_set=False)
        _process_runtime.append(runtime)
    return _process_runtime[0]


_process_runtime: list[Runtime] = []


def telemetry_config(log_level: str = "WARNING", metrics_address: str | None = None) -> TelemetryConfig:
    """The Rust core's logs into Python's, and Prometheus at `host:port` when given."""
    return TelemetryConfig(
        logging=LoggingConfig(
            filter=TelemetryFilter(core_level=_CORE_LEVEL[log_level], other_level="ERROR"),
            forwarding=LogForwardingConfig(
                logger=logging.getLogger("temporalio.core"),
                append_target_to_name=False,
                prepend_target_on_message=False,
            ),
        ),
        metrics=(
            PrometheusConfig(
                bind_address=metrics_address,
                durations_as_seconds=True,
                unit_suffix=True,
                counters_total_suffix=True,
            )
            if metrics_address
            else None
        ),
    )

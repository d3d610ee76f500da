"""Logs without personal data, nothing on stdout, and one metrics endpoint."""

import io
import json
import logging
import subprocess
import sys
import textwrap

import pytest

from runtime.telemetry import RedactingFilter, configure_logging, redact

CARD = "4" + "1" * 15  # built, so that no file carries a card number


@pytest.fixture
def lines():
    """Everything logged in a test, as parsed JSON lines."""
    root = logging.getLogger()
    level = root.level
    stream = io.StringIO()
    handler = configure_logging("INFO", "json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


class TestRedaction:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("declined for taro.yamada+shop@example.co.jp today", "declined for [e-mail] today"),
            (f"card {CARD} refused", "card [number] refused"),
            ("card 4111 1111 1111 " + "1111.", "card [number]."),
            ("card 4111-1111-1111-" + "1111", "card [number]"),
            ("payment 7 of sub_01JD8ZC3Q4V0X2M9 due 2026-11-30T15:00:00Z", None),
            ("took 1234567.8901234567890 ms", None),
            ("event 123456789012", None),
        ],
    )
    def test_personal_data_goes_and_ids_stay(self, text, expected):
        assert redact(text) == (text if expected is None else expected)

    def test_messages_arguments_and_extra_fields_are_redacted(self, lines):
        logging.getLogger("shop").warning(
            "from %s",
            "a@b.example",
            extra={"note": f"pan {CARD}", "facts": {"mail": "c@d.example"}, "number": int(CARD)},
        )
        [line] = lines()
        assert line["message"] == "from [e-mail]"
        assert (line["note"], line["facts"], line["number"]) == (
            "pan [number]",
            {"mail": "[e-mail]"},
            "[number]",
        )
        assert (line["level"], line["logger"]) == ("WARNING", "shop")

    def test_tracebacks_are_redacted(self, lines):
        try:
            raise ValueError("no card for a@b.example")
        except ValueError:
            logging.getLogger("shop").exception("failed")
        [line] = lines()
        assert "ValueError: no card for [e-mail]" in line["error"]
        assert "a@b.example" not in json.dumps(line)

    def test_a_text_formatter_does_not_bring_the_exception_back(self):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.addFilter(RedactingFilter())
        logger = logging.getLogger("shop.text")
        logger.propagate = False
        logger.addHandler(handler)
        try:
            raise ValueError("a@b.example")
        except ValueError:
            logger.exception("failed")
        finally:
            logger.removeHandler(handler)
        assert "a@b.example" not in stream.getvalue()
        assert "ValueError: [e-mail]" in stream.getvalue()

    def test_configuring_twice_does_not_double_the_lines(self, lines):
        configure_logging("INFO", "json", stream=io.StringIO())
        assert (
            len([handler for handler in logging.getLogger().handlers if handler.get_name() == "teiki"]) == 1
        )


def test_a_process_serves_business_metrics_and_prints_nothing_on_stdout():
    """In a process of its own: a runtime belongs to a process, and the core prints to stdout unless
    forwarded.
    """
    script = textwrap.dedent(
        """
        import asyncio, urllib.request
        from runtime.embedded.ports import free_ports
        from runtime.lifecycle import run_cli
        from runtime.settings import Settings
        from runtime.telemetry import start_telemetry
        from temporalio.client import Client

        async def main():
            port, nobody = free_ports(2)
            runtime = start_telemetry(Settings.load(metrics_address=f"127.0.0.1:{port}", log_level="DEBUG"))
            counter = runtime.metric_meter.create_counter("teiki_charges", "Charge attempts by outcome")
            counter.add(1, {"outcome": "settled"})
            try:
                await Client.connect(f"127.0.0.1:{nobody}", runtime=runtime)
            except RuntimeError:
                pass
            text = await asyncio.to_thread(
                lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
            )
            import sys
            sys.stderr.write(text)

        run_cli(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert 'teiki_charges_total{outcome="settled"' in done.stderr

"""`python -m web` as a process: it serves, and stops when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request


def test_the_web_process_serves_on_loopback_and_stops_on_sigterm(lab):
    settings = lab.settings
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("TEIKI_", "TEMPORAL_"))
    }
    environment = {
        **inherited,
        "TEIKI_DATABASE_URL": settings.database,
        "TEIKI_CODEC_KEYS": settings.codec_keys.get_secret_value(),
        "TEIKI_GATEWAY_URL": settings.gateway_url,
        "TEIKI_STATE_DIR": str(settings.state_dir),
        "TEMPORAL_ADDRESS": lab.client.service_client.config.target_host,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "web", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            port = json.loads(process.stdout.readline())["port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
                assert json.load(answer) == {"status": "ok"}
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()

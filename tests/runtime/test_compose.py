"""docker-compose.yml cannot be run here (no Docker engine), so it is parsed and compared with what it
configures.
"""

import re
from pathlib import Path

import pytest
import yaml

from runtime.embedded.stack import USUAL_PORTS
from runtime.search_attributes import SEARCH_ATTRIBUTES
from runtime.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
VERSIONS = dict(
    line.split("=", 1)
    for line in (ROOT / ".env").read_text().splitlines()
    if line and not line.startswith("#")
)
TEIKI = {name: service for name, service in SERVICES.items() if service["image"].startswith("teiki:")}


@pytest.mark.parametrize("name", TEIKI)
def test_every_teiki_variable_is_a_setting_with_a_valid_value(name, monkeypatch, tmp_path):
    environment = {
        key: value for key, value in TEIKI[name]["environment"].items() if key.startswith("TEIKI_")
    }
    given = {}
    for variable, value in environment.items():
        setting = variable.removeprefix("TEIKI_").lower()
        if setting.endswith("_file") and setting not in Settings.model_fields:
            setting = setting.removesuffix("_file")
            assert value.startswith("/run/secrets/")
        else:
            given[setting] = value
        assert setting in Settings.model_fields, variable
    Settings.load(state_dir=tmp_path, **given)


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_in_the_env_file(name):
    [variable] = re.findall(r"\$\{(\w+):\?\}", SERVICES[name]["image"])
    assert re.fullmatch(r"\d+(\.\d+)+", VERSIONS[variable]), variable
    assert SERVICES[name]["image"].count(":") == 2  # name:${VARIABLE:?}, and no tag beside it


def test_the_env_file_names_only_versions():
    assert all(variable.endswith("_VERSION") for variable in VERSIONS)


def test_the_search_attributes_are_those_of_the_runtime():
    listed = SERVICES["temporal-namespace"]["environment"]["SEARCH_ATTRIBUTES"].split()
    assert dict(pair.split("=") for pair in listed) == SEARCH_ATTRIBUTES


def published(name):
    [port] = SERVICES[name]["ports"]
    host, outside, inside = port.split(":")
    return host, int(outside), int(inside)


def test_ports_are_the_usual_ones_on_loopback_only():
    by_service = {
        "temporal": "temporal",
        "temporal-ui": "web_ui",
        "codec-server": "codec",
        "gateway": "gateway",
        "web": "web",
        "postgres": "postgres",
    }
    assert {name for name, service in SERVICES.items() if "ports" in service} == set(by_service)
    for service, usual in by_service.items():
        host, outside, _ = published(service)
        assert (host, outside) == ("127.0.0.1", USUAL_PORTS[usual])


def test_commands_and_addresses_agree_about_ports():
    environment = SERVICES["worker"]["environment"]
    gateway, codec = SERVICES["gateway"]["command"], SERVICES["codec-server"]["command"]
    assert environment["TEIKI_GATEWAY_URL"] == f"http://gateway:{gateway[gateway.index('--port') + 1]}"
    assert published("gateway")[2] == int(gateway[gateway.index("--port") + 1])
    assert published("codec-server")[2] == int(codec[codec.index("--port") + 1])
    assert SERVICES["temporal-ui"]["environment"]["TEMPORAL_CODEC_ENDPOINT"].endswith(
        f":{published('codec-server')[1]}"
    )
    origins = {codec[index + 1] for index, part in enumerate(codec) if part == "--origin"}
    port = published("temporal-ui")[1]
    assert origins == {f"http://127.0.0.1:{port}", f"http://localhost:{port}"}


def test_the_gateway_signs_its_webhooks_for_the_web_service_with_its_secret():
    gateway, web = SERVICES["gateway"]["command"], SERVICES["web"]
    where = gateway[gateway.index("--webhook-url") + 1]
    assert where == f"http://web:{published('web')[2]}/webhooks/{web['environment']['TEIKI_GATEWAY']}"
    secrets = gateway[gateway.index("--webhook-secrets-file") + 1]
    assert secrets == web["environment"]["TEIKI_WEBHOOK_SECRETS_FILE"] == "/run/secrets/webhook_secrets"
    holders = {name for name in SERVICES if "webhook_secrets" in SERVICES[name].get("secrets", [])}
    assert holders == {"gateway", "web"}


def test_everything_waits_for_what_it_needs():
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], (name, needed)
            else:
                assert how["condition"] == "service_completed_successfully"
                assert "healthcheck" not in SERVICES[needed], (name, needed)
    assert {"migrations", "temporal-namespace", "gateway"} <= set(SERVICES["worker"]["depends_on"])


def test_money_and_workbooks_have_workers_of_their_own_and_the_pages_reach_the_files():
    roles = {
        name: service["environment"].get("TEIKI_WORKER_ROLE")
        for name, service in SERVICES.items()
        if "environment" in service
    }
    assert (roles["worker"], roles["exports-worker"]) == ("billing", "exports")
    for name in ("exports-worker", "web"):
        assert f"exports:{SERVICES[name]['environment']['TEIKI_EXPORT_STORAGE']}" in SERVICES[name]["volumes"]


def test_no_secret_has_a_value_here():
    text = (ROOT / "docker-compose.yml").read_text()
    assert COMPOSE["secrets"] == {
        "codec_keys": {"environment": "TEIKI_CODEC_KEYS"},
        "webhook_secrets": {"environment": "TEIKI_WEBHOOK_SECRETS"},
        "export_secret_keys": {"environment": "TEIKI_EXPORT_SECRET_KEYS"},
        "endpoint_secret_keys": {"environment": "TEIKI_ENDPOINT_SECRET_KEYS"},
    }
    for line in text.splitlines():
        if "PASSWORD" in line or "POSTGRES_PWD" in line:
            assert "${POSTGRES_PASSWORD:?" in line or line.startswith("#"), line


def test_mounted_files_exist():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]

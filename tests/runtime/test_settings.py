"""Where settings come from, which one wins, and that missing secrets are never papered over."""

import json
import os

import pytest

from domain.errors import ErrorCode, TeikiError
from runtime.codec import new_key
from runtime.settings import Settings
from runtime.temporal import connect_arguments


def address_of(arguments):
    """Where to connect; who connects (the identity) is another matter."""
    assert len(arguments.pop("identity")) <= 16
    return arguments


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("TEIKI_", "TEMPORAL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporal.toml").touch()
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal.toml"))


def write_stack(directory, **settings):
    directory.mkdir(exist_ok=True)
    (directory / "stack.json").write_text(json.dumps({"pid": 1, "settings": settings}))


class TestSources:
    def test_defaults_need_no_environment(self):
        settings = Settings.load()
        assert settings.task_queue == "billing"
        assert settings.workflow_sandbox is False
        assert settings.versioned is None

    def test_the_environment_wins_over_the_running_stack(self, monkeypatch, tmp_path):
        write_stack(tmp_path / ".teiki", gateway_url="http://127.0.0.1:1", task_queue="from-stack")
        monkeypatch.setenv("TEIKI_GATEWAY_URL", "http://127.0.0.1:2")
        settings = Settings.load()
        assert settings.gateway_url == "http://127.0.0.1:2"
        assert settings.task_queue == "from-stack"

    def test_arguments_win_over_the_environment(self, monkeypatch):
        monkeypatch.setenv("TEIKI_LOG_LEVEL", "debug")
        assert Settings.load().log_level == "DEBUG"
        assert Settings.load(log_level="error").log_level == "ERROR"

    def test_the_stack_of_another_state_directory_is_found(self, monkeypatch, tmp_path):
        write_stack(tmp_path / "other", gateway_url="http://127.0.0.1:3")
        assert Settings.load(state_dir=tmp_path / "other").gateway_url == "http://127.0.0.1:3"
        monkeypatch.setenv("TEIKI_STATE_DIR", str(tmp_path / "other"))
        assert Settings.load().gateway_url == "http://127.0.0.1:3"

    def test_an_unreadable_stack_file_says_what_to_do(self, tmp_path):
        (tmp_path / ".teiki").mkdir()
        (tmp_path / ".teiki" / "stack.json").write_text("{half")
        with pytest.raises(TeikiError, match="teiki up"):
            Settings.load()

    @pytest.mark.parametrize("name", ["database_url", "codec_keys", "codec_server_token"])
    def test_every_secret_can_come_from_a_file(self, monkeypatch, tmp_path, name):
        (tmp_path / "secret").write_text("from the file\n")
        monkeypatch.setenv(f"TEIKI_{name.upper()}_FILE", str(tmp_path / "secret"))
        assert getattr(Settings.load(), name).get_secret_value() == "from the file"

    def test_a_secret_given_twice_is_refused(self, monkeypatch, tmp_path):
        (tmp_path / "secret").write_text("a")
        monkeypatch.setenv("TEIKI_CODEC_KEYS_FILE", str(tmp_path / "secret"))
        monkeypatch.setenv("TEIKI_CODEC_KEYS", "b")
        with pytest.raises(TeikiError, match="Both"):
            Settings.load()

    def test_a_missing_secret_file_is_an_error(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TEIKI_DATABASE_URL_FILE", str(tmp_path / "nowhere"))
        with pytest.raises(TeikiError, match="TEIKI_DATABASE_URL_FILE"):
            Settings.load()


class TestRefusals:
    def test_without_keys_there_is_no_ring(self):
        with pytest.raises(TeikiError, match="TEIKI_CODEC_KEYS") as refused:
            Settings.load().keyring()
        assert refused.value.code is ErrorCode.SETTINGS_INVALID

    def test_without_a_database_there_is_no_url(self):
        with pytest.raises(TeikiError, match="TEIKI_DATABASE_URL"):
            _ = Settings.load().database

    def test_keys_make_a_ring(self):
        assert Settings.load(codec_keys=new_key("k9")).keyring().primary == "k9"

    def test_versioning_needs_both_names(self):
        assert Settings.load(deployment_name="billing", build_id="b1").versioned == ("billing", "b1")
        with pytest.raises(TeikiError, match="TEIKI_BUILD_ID"):
            _ = Settings.load(deployment_name="billing").versioned

    def test_bad_values_are_named_and_not_shown(self, monkeypatch):
        monkeypatch.setenv("TEIKI_LOG_LEVEL", "hunter2")
        monkeypatch.setenv("TEIKI_DATABASE_POOL_SIZE", "0")
        with pytest.raises(TeikiError) as refused:
            Settings.load()
        assert refused.value.code is ErrorCode.SETTINGS_INVALID
        assert "TEIKI_LOG_LEVEL" in refused.value.message
        assert "TEIKI_DATABASE_POOL_SIZE" in refused.value.message
        assert "hunter2" not in refused.value.message

    def test_secrets_do_not_show(self):
        assert "pa55" not in repr(Settings.load(database_url="postgresql://u:pa55@h/d", codec_keys="k:pa55"))


class TestTemporalAddress:
    def test_localhost_is_the_last_resort(self):
        assert address_of(connect_arguments(Settings.load())) == {
            "target_host": "localhost:7233",
            "namespace": "default",
        }

    def test_the_running_stack_is_next(self, tmp_path):
        write_stack(tmp_path / ".teiki", temporal_address="127.0.0.1:7999", temporal_namespace="shop")
        assert address_of(connect_arguments(Settings.load())) == {
            "target_host": "127.0.0.1:7999",
            "namespace": "shop",
        }

    def test_temporals_own_configuration_wins(self, monkeypatch, tmp_path):
        write_stack(tmp_path / ".teiki", temporal_address="127.0.0.1:7999")
        monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.internal:7233")
        monkeypatch.setenv("TEMPORAL_NAMESPACE", "production")
        arguments = connect_arguments(Settings.load())
        assert (arguments["target_host"], arguments["namespace"]) == ("temporal.internal:7233", "production")


class TestWebhookSecrets:
    def test_none_is_none(self):
        assert Settings.load().webhook_secret_list == ()

    @pytest.mark.parametrize("given", ["whsec_one whsec_two", "  whsec_one\n\twhsec_two\n"])
    def test_several_stand_beside_or_below_each_other(self, monkeypatch, given):
        monkeypatch.setenv("TEIKI_WEBHOOK_SECRETS", given)
        assert Settings.load().webhook_secret_list == ("whsec_one", "whsec_two")

    def test_they_come_from_a_file_too_and_are_never_shown(self, monkeypatch, tmp_path):
        (tmp_path / "secrets").write_text("whsec_one\nwhsec_two\n")
        monkeypatch.setenv("TEIKI_WEBHOOK_SECRETS_FILE", str(tmp_path / "secrets"))
        settings = Settings.load()
        assert settings.webhook_secret_list == ("whsec_one", "whsec_two")
        assert "whsec_one" not in repr(settings)

"""Settings: where they come from, and what is said about those that cannot be used."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat_server.config import (
    Config,
    ConfigError,
    default_data_dir,
    flag,
    markdown_table,
    options,
    variable,
)
from dchat_server.options import hide_login, hide_password

HOME = {"HOME": "/home/ada"}


def mistakes(env: dict[str, str], argv: list[str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        Config.from_env(env, argv or [])
    return caught.value.mistakes


def test_with_nothing_configured_it_serves_this_machine_durably():
    config = Config.from_env(HOME)
    assert (config.host, config.port, config.workers) == ("127.0.0.1", 5000, 1)
    assert config.embedded
    assert config.ack == "fsync"
    assert config.data_dir == default_data_dir(HOME)
    assert config.warnings == ()
    assert config.sources == {}


def test_with_a_redis_of_the_operators_it_serves_everybody():
    config = Config.from_env({"DCHAT_REDIS_URL": "redis://10.0.0.5"})
    assert not config.embedded
    assert (config.host, config.ack) == ("0.0.0.0", "memory")
    chosen = Config.from_env({"DCHAT_REDIS_URL": "redis://10.0.0.5", "DCHAT_HOST": "127.0.0.1", "DCHAT_ACK": "fsync"})
    assert (chosen.host, chosen.ack) == ("127.0.0.1", "fsync")


def test_a_flag_wins_over_its_variable_and_the_sources_are_told():
    config = Config.from_env({"DCHAT_PORT": "5001", "DCHAT_WORKERS": "2"}, ["--port", "5002", "--ack=memory"])
    assert (config.port, config.workers, config.ack) == (5002, 2, "memory")
    assert config.sources == {"port": "--port", "workers": "DCHAT_WORKERS", "ack": "--ack"}


def test_a_wrong_variable_that_a_flag_overrides_is_no_mistake():
    assert Config.from_env({"DCHAT_PORT": "x"}, ["--port", "5001"]).port == 5001


def test_an_empty_variable_counts_as_not_set():
    assert Config.from_env({"DCHAT_PORT": "", "DCHAT_REDIS_URL": "  "}).port == 5000


def test_every_setting_has_a_variable_a_flag_a_help_and_a_row_in_the_table():
    table = markdown_table()
    assert [each.name for each in dataclasses.fields(Config)][: len(options())] == list(options())
    for name, about in options().items():
        assert f"`{variable(name)}`" in table
        assert flag(name) in table
        assert about.help.endswith(".")
        assert about.default or name == "public_url"


def test_all_mistakes_are_told_at_once_each_as_a_sentence():
    told = mistakes(
        {"DCHAT_PORT": "many", "DCHAT_WORKERS": "0", "DCHAT_ACK": "maybe", "DCHAT_RATE_MESSAGES": "nan"},
        ["--prot", "5001", "--drain-s", "-1", "extra", "--host"],
    )
    assert len(told) == 8
    text = "\n".join(told)
    assert "DCHAT_PORT is 'many', which is not a whole number; give one from 1 to 65535." in told
    assert "There is no flag --prot. Did you mean --port?" in text
    assert "'extra' is not a flag." in text
    assert "--host needs a value: --host HOST." in text
    for sentence in told:
        assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"DCHAT_HOST": "http://x"}, "DCHAT_HOST"),
        ({"DCHAT_PORT": "65536"}, "DCHAT_PORT"),
        ({"DCHAT_PORT_PER_WORKER": "perhaps"}, "DCHAT_PORT_PER_WORKER"),
        ({"DCHAT_PUBLIC_URL": "chat.example.org"}, "DCHAT_PUBLIC_URL"),
        ({"DCHAT_PUBLIC_URL": "https://chat.example.org/path"}, "DCHAT_PUBLIC_URL"),
        ({"DCHAT_DATA_DIR": "/etc/passwd"}, "DCHAT_DATA_DIR"),
        ({"DCHAT_ACK": "replicated"}, "DCHAT_REDIS_URL"),
        ({"DCHAT_MAX_MESSAGE_BYTES": "65536"}, "DCHAT_MAX_BODY_BYTES"),
        ({"DCHAT_MAX_BODY_BYTES": "2000000"}, "DCHAT_MAX_BATCH_BYTES"),
        ({"DCHAT_PORT": "65535", "DCHAT_WORKERS": "2", "DCHAT_PORT_PER_WORKER": "yes"}, "DCHAT_PORT"),
        ({"DCHAT_PING_INTERVAL_S": "60"}, "DCHAT_PING_INTERVAL_S"),
    ],
)
def test_what_cannot_work_is_named(env, named):
    assert named in mistakes(env)[0]


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:p%40ss@10.0.0.5:6379/2",
        "rediss://user:pw@cache.example.org:6380",
        "unix:///run/redis/redis.sock",
        "redis://[::1]:6379",
        "redis+cluster://a:7000,b:7001,c:7002",
        "redis+sentinel://:pw@a:26379,b:26379/mymaster/0?sentinel_password=x",
    ],
)
def test_the_forms_of_a_redis_address_are_taken(url):
    assert Config.from_env({"DCHAT_REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("10.0.0.5:6379", "begins with redis://"),
        ("http://10.0.0.5", "begins with redis://"),
        ("redis://", "does not name its host"),
        ("redis://a:6379,b:6379", "redis+cluster://"),
        ("redis+sentinel://a:26379", "does not name the master"),
        ("unix://", "names no socket"),
        ("redis://:hunter2/x@host", "%2F"),
        ("redis://:hunter2@h:6379:1", "does not name its host"),
        ("redis:/user:hunter2@h", "does not name its host"),
    ],
)
def test_a_wrong_redis_address_is_explained_without_its_password(url, says):
    (sentence,) = mistakes({"DCHAT_REDIS_URL": url})
    assert says in sentence
    assert "hunter2" not in sentence


def test_passwords_are_never_shown():
    url = "redis+sentinel://user:hunter2@a:26379,b:26379/mymaster?sentinel_password=hunter2&db=1"
    config = Config.from_env({"DCHAT_REDIS_URL": url})
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config.redacted())
    assert config.redacted()["redis_url"].startswith("redis+sentinel://user:***@a:26379,b:26379/mymaster")


odd = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/?#@[]:"))
secret = st.tuples(odd, odd).map("hunter2".join)


@given(secret)
def test_no_form_of_address_lets_its_password_through(password):
    for form in (
        "redis://:{}@host/0",
        "redis://name:{}@host",
        "redis+cluster://{}@a,b",
        "unix:///s?password={}",
        "redis:{}@x",
        "redis://{}@",
    ):
        address = form.format(password)
        if "://" in address and not address.endswith("@"):
            assert "hunter2" not in hide_password(address)
            assert hide_password(address).startswith(address.partition("://")[0] + "://")
        assert "hunter2" not in hide_login(address)


def test_an_unknown_variable_is_a_warning_with_a_guess():
    config = Config.from_env(
        {
            "DCHAT_PROT": "5001",
            "DCHAT_WORKER_ID": "x",
            "DCHAT_TOKEN": "for the command line",
            "PATH": "/bin",
        }
    )
    (warning,) = config.warnings
    assert "DCHAT_PROT" in warning
    assert "DCHAT_PORT" in warning
    assert "5001" not in warning


def test_settings_travel_to_a_worker_whole():
    config = Config.from_env(
        {**HOME, "DCHAT_REDIS_URL": "redis://:p%40ss@h:1/2", "DCHAT_RATE_MESSAGES": "2.5"},
        ["--workers", "3", "--port-per-worker", "--public-url", "https://chat.example.org/", "--host", "::1"],
    )
    assert Config.from_env(config.as_env()) == config
    assert Config.from_env(Config().as_env()) == Config()


def test_ports_are_one_for_all_or_one_each():
    assert Config(workers=3).ports == (5000,)
    assert Config(workers=3).reuse_port
    assert Config(workers=3, port_per_worker=True).ports == (5000, 5001, 5002)
    assert not Config(workers=3, port_per_worker=True).reuse_port
    assert not Config().reuse_port


def test_the_data_folder_follows_the_platforms_custom(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert default_data_dir(HOME) == Path("/home/ada/.local/share/dchat")
    assert default_data_dir({**HOME, "XDG_DATA_HOME": "/data"}) == Path("/data/dchat")
    assert default_data_dir({**HOME, "XDG_DATA_HOME": "relative"}) == Path("/home/ada/.local/share/dchat")
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_data_dir(HOME) == Path("/home/ada/Library/Application Support/dchat")


@pytest.mark.parametrize(
    ("env", "kinds"),
    [
        ({}, ("embedded", "file", "sqlite")),
        ({"DCHAT_REDIS_URL": "rediss://h:1"}, ("redis", "file", "sqlite")),
        ({"DCHAT_REDIS_URL": "unix:///run/redis.sock"}, ("redis", "file", "sqlite")),
        ({"DCHAT_REDIS_URL": "redis+cluster://h:1"}, ("redis cluster", "file", "sqlite")),
        ({"DCHAT_REDIS_URL": "rediss+sentinel://h:1/m", "DCHAT_ZOOKEEPER": "z:1"}, ("sentinel", "zookeeper", "sqlite")),
        ({"DCHAT_DYNAMODB_TABLE": "chat"}, ("embedded", "file", "dynamodb")),
    ],
)
def test_what_a_server_stands_on_is_said_in_a_word(env: dict[str, str], kinds: tuple[str, str, str]) -> None:
    assert tuple(Config.from_env(env).kinds.values()) == kinds


@pytest.mark.parametrize("found", [lambda name: None, lambda name: (_ for _ in ()).throw(ModuleNotFoundError(name))])
def test_traces_without_their_packages_are_refused_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, found: Callable[[str], object]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", found)
    (sentence,) = mistakes({"DCHAT_TRACES": "yes"})
    assert "pip install 'd-chat[otel]'" in sentence
    assert not Config.from_env({}).traces

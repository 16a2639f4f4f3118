"""Address and key: argument, then environment, then profile; and clear words when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from metergate_client import Metergate, MetergateConfigError
from metergate_client.config import Config, profile_path, resolve

FILE = """
[profiles.dev]
url = "127.0.0.1:7400"
key = "mg_dev"
[profiles.prod]
url = "https://metergate.example"
key = "mg_prod"
[profiles.half]
url = "127.0.0.1:7400"
[profiles.wrong]
url = 7400
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    return {"METERGATE_CONFIG": str(path)}


def test_the_profile_is_dev_unless_named(env: dict[str, str]) -> None:
    prod = Config("https://metergate.example", "mg_prod")
    assert resolve(environ=env) == Config("127.0.0.1:7400", "mg_dev")
    assert resolve(environ={**env, "METERGATE_PROFILE": "prod"}) == prod
    assert resolve(profile="prod", environ={**env, "METERGATE_PROFILE": "dev"}) == prod


def test_the_environment_goes_before_the_profile_and_arguments_before_both(env: dict[str, str]) -> None:
    env |= {"METERGATE_URL": "h:1", "METERGATE_KEY": "mg_env"}
    assert resolve(environ=env) == Config("h:1", "mg_env")
    assert resolve(url="h:2", environ=env) == Config("h:2", "mg_env")
    assert resolve(key="mg_arg", environ=env) == Config("h:1", "mg_arg")
    assert resolve(profile="prod", environ=env) == Config("https://metergate.example", "mg_prod")
    del env["METERGATE_KEY"]
    assert resolve(environ=env) == Config("h:1", "mg_dev"), "each by itself"


def test_arguments_alone_need_no_file() -> None:
    assert resolve("h:1", "k", environ={"METERGATE_CONFIG": "/nowhere/at/all"}) == Config("h:1", "k")


def test_the_file_stands_in_the_users_folder_for_settings() -> None:
    assert profile_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/metergate/config.toml")
    assert profile_path({}) == Path("~/.config/metergate/config.toml").expanduser()


def test_p12_nothing_found_says_what_to_do(env: dict[str, str], tmp_path: Path) -> None:
    nowhere = tmp_path / "none.toml"
    with pytest.raises(MetergateConfigError, match=r"No server address: pass url=…, or set METERGATE_URL, or put it"):
        resolve(environ={"METERGATE_CONFIG": str(nowhere)})
    with pytest.raises(MetergateConfigError, match=r"No API key: pass key=….*\[profiles\.half\]"):
        resolve(profile="half", environ=env)
    with pytest.raises(MetergateConfigError, match=r"\[profiles\.wrong\] must hold url and key as strings"):
        resolve(profile="wrong", environ=env)
    nowhere.write_text("[profiles")
    with pytest.raises(MetergateConfigError, match="cannot be read"):
        resolve(environ={"METERGATE_CONFIG": str(nowhere)})


@pytest.mark.parametrize(
    ("url", "target", "tls"),
    [
        ("127.0.0.1:7400", "127.0.0.1:7400", False),
        ("http://localhost:7400/", "localhost:7400", False),
        ("grpc://[::1]:7400", "[::1]:7400", False),
        ("https://metergate.example", "metergate.example:443", True),
        ("https://[2001:db8::1]", "[2001:db8::1]:443", True),
        ("grpcs://metergate.example:8443", "metergate.example:8443", True),
        ("dns:///metergate.internal:7400", "dns:///metergate.internal:7400", False),
        ("unix:/run/metergate.sock", "unix:/run/metergate.sock", False),
    ],
)
def test_tls_is_spoken_where_the_address_says_so(url: str, target: str, tls: bool) -> None:
    assert Config(url, "k").target() == (target, tls)


@pytest.mark.parametrize("url", ["htps://x:1", "https://x:1/path", "https://"])
def test_p12_a_bad_address_is_told_at_once(url: str) -> None:
    with pytest.raises(MetergateConfigError, match="is not an address of a server"):
        Metergate(url, "k")


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(Config("h:1", "mg_secret"))

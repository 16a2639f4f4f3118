"""Profiles: what is used, and how one is saved."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metergate.cli import profiles
from metergate.cli.errors import CliError
from metergate.cli.profiles import Profile

DEV = Profile("127.0.0.1:7400", "mg_dev")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"METERGATE_CONFIG": str(tmp_path / "sub" / "config.toml")}


def test_a_saved_profile_is_the_one_in_use(environment: dict[str, str]) -> None:
    path = profiles.save("dev", DEV, environment)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert profiles.resolve(environment) == DEV
    assert profiles.named_url(environment) == DEV.url
    assert list(path.parent.iterdir()) == [path]


def test_saving_leaves_all_else_as_it_is(environment: dict[str, str]) -> None:
    path = Path(environment["METERGATE_CONFIG"])
    path.parent.mkdir()
    before = '# mine\n[profiles.prod]\nurl = "https://x"  # far\nkey = "mg_prod"\n\n'
    after = "[other]\nlist = [\n  1,\n]\n"
    path.write_text(f'{before}[profiles.dev]\nurl = "old"\nkey = "old"\n\n{after}')
    profiles.save("dev", DEV, environment)
    text = path.read_text()
    assert text.startswith(before)
    assert text.endswith(after)
    assert profiles.load("dev", environment) == DEV
    assert profiles.load("prod", environment) == Profile("https://x", "mg_prod")
    profiles.save("dev", DEV, environment)
    assert path.read_text() == text


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_what_is_saved_is_read(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    environment = {"METERGATE_CONFIG": str(tmp_path_factory.mktemp("p") / "config.toml")}
    for name in ("a", "b", "a"):
        profiles.save(name, Profile("h:1", key), environment)
    assert profiles.load("a", environment) == profiles.load("b", environment) == Profile("h:1", key)


def test_variables_go_before_the_profile(environment: dict[str, str]) -> None:
    profiles.save("dev", DEV, environment)
    assert profiles.resolve(environment | {"METERGATE_URL": "h:1"}) == Profile("h:1", "mg_dev")
    assert profiles.resolve(environment | {"METERGATE_KEY": "k"}) == Profile(DEV.url, "k")
    profiles.save("prod", Profile("p:1", "mg_prod"), environment)
    assert profiles.resolve(environment | {"METERGATE_PROFILE": "prod"}) == Profile("p:1", "mg_prod")


def test_without_any_it_is_the_usual_address(environment: dict[str, str]) -> None:
    assert profiles.resolve(environment) == Profile(profiles.DEFAULT_URL, "")
    assert profiles.named_url(environment) == ""


def test_p12_a_missing_profile_and_a_damaged_file_are_named(environment: dict[str, str]) -> None:
    with pytest.raises(CliError, match="no profile 'prod'"):
        profiles.resolve(environment | {"METERGATE_PROFILE": "prod"})
    path = profiles.save("dev", DEV, environment)
    path.write_text("[profiles")
    with pytest.raises(CliError, match="cannot be read"):
        profiles.resolve(environment)


def test_a_key_is_not_printed_by_accident() -> None:
    assert "mg_dev" not in repr(DEV)


def test_places_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert profiles.config_path({}) == Path("/home/me/.config/metergate/config.toml")
    assert profiles.config_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/metergate/config.toml")

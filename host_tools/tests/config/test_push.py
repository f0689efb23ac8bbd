"""Bundles into a validator over the link, whatever the link does to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faretap.config import keys, push, samples, source
from faretap.config.bundle import body_text, make, read
from faretap.config.errors import ConfigError
from faretap.link.client import NoAnswer

from .bundles import FIRST, STRANGER, bundles
from .device import SERIAL, Device


def claimed() -> Device:
    device = Device()
    push.claim(device, FIRST.public_key())
    return device


def test_what_was_pushed_runs() -> None:
    device = claimed()
    seen: list[tuple[int, int]] = []
    data = bundles()["V1"]
    info = push.push(device, data, lambda done, total: seen.append((done, total)))
    assert (info["version"], info["hash"]) == (1, read(data).hash)
    assert info["operator"] == keys.fingerprint(FIRST.public_key())
    assert seen[0] == (0, len(data) - 128) and seen[-1] == (len(data) - 128, len(data) - 128)
    assert seen == sorted(seen) and device.switched == 1


def test_the_bench_configuration_fits_and_runs() -> None:
    device = Device()
    info = samples.provision(device)
    assert info["version"] == 1 and info["life_cycle"] == "bench"
    assert samples.provision(device)["version"] == 2
    assert samples.provision(device, life_cycle="service")["life_cycle"] == "service"
    cards = device.configuration.section("cards")
    assert [key["index"] for key in cards["ca_keys"]] == ["f1", "f2"]


def test_the_bench_configuration_is_one_that_an_operator_could_write(tmp_path: Path) -> None:
    from faretap.config import toml

    path = tmp_path / "bench.toml"
    path.write_text(toml.dump(samples.bench_configuration()), encoding="utf-8")
    assert source.load(path).body() == samples.bench_body()


def test_pushed_again_nothing_happens() -> None:
    device = claimed()
    data = bundles()["V1"]
    push.push(device, data)
    operations = len(device.flash.log)
    assert push.push(device, data)["version"] == 1
    assert len(device.flash.log) == operations and device.switched == 1


def test_without_an_operator() -> None:
    with pytest.raises(ConfigError, match="no operator yet.*--claim"):
        push.push(Device(), bundles()["V1"])


@pytest.mark.parametrize(
    ("name", "reason", "step"),
    [
        ("V5_STRANGER", "foreign", "keys show"),
        ("V5_LATER", "too_early", "clock"),
        ("V5_THEIRS", "not_for_me", "serials name"),
        ("WRONG_section", "invalid", "update the firmware"),
    ],
)
def test_refusals_say_what_to_do(name: str, reason: str, step: str) -> None:
    device = claimed()
    with pytest.raises(push.PushRefused) as e:
        push.push(device, bundles()[name])
    assert e.value.reason == reason and step in str(e.value)
    assert push.info(device)["version"] == 0


def test_old_and_unsigned() -> None:
    device = claimed()
    made = bundles()
    push.push(device, made["V2"])
    with pytest.raises(push.PushRefused) as e:
        push.push(device, made["V1"])
    assert e.value.reason == "old" and "higher version" in str(e.value)
    forged = made["V3"][:64] + made["V2"][64:128] + made["V3"][128:]
    with pytest.raises(push.PushRefused) as e:
        push.push(device, forged)
    assert e.value.reason == "unsigned"
    assert push.info(device)["version"] == 2


def test_a_second_operator_is_refused() -> None:
    device = claimed()
    with pytest.raises(push.PushRefused) as e:
        push.claim(device, STRANGER.public_key())
    assert e.value.reason == "foreign"


@pytest.mark.parametrize("seed", range(20))
def test_a_push_that_breaks_off_is_begun_again_and_goes_on(seed: int) -> None:
    """Calls and answers are lost until the whole push gives up; it is begun again each time."""
    rng = random.Random(seed)
    device = claimed()
    data = make(samples.bench_body(), FIRST)
    device.lose = lambda method: rng.choice((False, False, False, False, True, None))
    for _ in range(200):
        try:
            assert push.push(device, data)["hash"] == read(data).hash
            break
        except NoAnswer:
            continue
    else:
        raise AssertionError(f"seed {seed}: never done")
    assert device.switched == 1
    # What arrived was not sent again: each piece of the body at most twice, once if it was heard.
    pieces = -(-len(read(data).text) // push.PIECE)
    assert device.made.count("config.data") <= 2 * pieces


def test_a_lost_answer_to_the_switch() -> None:
    device = claimed()
    data = bundles()["V1"]
    device.lose = lambda method: None if method == "config.commit" else False
    assert push.push(device, data)["version"] == 1
    assert device.switched == 1


def test_a_validator_that_restarts_in_between() -> None:
    device = claimed()
    data = make(samples.bench_body(), FIRST)
    calls = 0

    def lose(method: str) -> bool:
        nonlocal calls
        calls += 1
        if calls == 4:
            device.boot()  # the power went: what had come is lost, the bank half written
        return False

    device.lose = lose
    with pytest.raises(push.PushRefused) as e:
        push.push(device, data)
    assert e.value.reason == "damaged"
    assert push.push(device, data)["version"] == 1


def test_pull_is_what_was_pushed_without_its_secret() -> None:
    device = claimed()
    body = source.check(samples.bench_configuration(token_key="5a" * 16)).body()
    push.push(device, make(body, FIRST))
    pulled = push.pull(device)
    assert pulled == {k: v for k, v in body.items() if k != "token_key"}
    assert "5a5a" not in repr(pulled) and "5a5a" not in repr(push.info(device))
    assert push.pull(Device()) == {}


@pytest.mark.parametrize("answer", [{"next": -1}, {"next": 1 << 20}, {"next": "0"}])
def test_a_validator_that_talks_nonsense(answer: dict[str, Any]) -> None:
    device = claimed()
    whole: Callable[..., Any] = device.call

    class Odd:
        def call(self, method: str, params: Any = None, **more: Any) -> Any:
            return answer if method == "config.begin" else whole(method, params, **more)

    with pytest.raises(ConfigError, match="wants byte"):
        push.push(Odd(), bundles()["V1"])


def test_a_validator_that_takes_nothing() -> None:
    device = claimed()

    class Deaf:
        def call(self, method: str, params: Any = None, **more: Any) -> Any:
            return {"next": 0} if method == "config.data" else device.call(method, params, **more)

    with pytest.raises(ConfigError, match="takes nothing from byte 0"):
        push.push(Deaf(), bundles()["V1"])


def test_the_largest_that_fits() -> None:
    from faretap.config.bundle import SMALLEST_ROOM

    device = claimed()
    body: dict[str, Any] = {
        "format": 1,
        "version": 1,
        "life_cycle": "bench",
        "identity": {"operator": ""},
    }
    body["serials"] = [SERIAL] * ((SMALLEST_ROOM - 200) // 15)
    body["display"] = {"x": "y" * (SMALLEST_ROOM - len(body_text(body)) - 20)}
    body["display"]["x"] += "y" * (SMALLEST_ROOM - len(body_text(body)))
    assert len(body_text(body)) == SMALLEST_ROOM
    assert push.push(device, make(body, FIRST))["version"] == 1
    device.boot()
    assert device.configuration.section("serials")[-1] == SERIAL
    push.push(device, make({**body, "version": 2}, FIRST))
    assert device.configuration.bank == 1
    body["display"]["x"] += "y"
    with pytest.raises(push.PushRefused) as e:
        push.push(device, make({**body, "version": 3}, FIRST))
    assert e.value.reason == "too_large"

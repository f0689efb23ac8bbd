"""What `faretap bench` measures is there, on a validator that riders have used before."""

from __future__ import annotations

from typing import Any

import pytest

from faretap import measure_crypto, measure_media, measure_store
from faretap.errors import FaretapError
from faretap.link import transfer
from faretap.lists import push as lists
from faretap.present import tap
from faretap.session import Session


@pytest.fixture
def used(session: Session) -> Session:
    measure_media.provision(session)
    for name in ("quickpass-debit", "tunion"):
        assert tap(session, name, via="link")["outcome"] == "accepted"
    return session


def test_records_for_the_bench(used: Session) -> None:
    before = used.link.call("records.info")["records"]
    row = measure_store.append(used, records=before + 1)
    assert row["n"] == 200
    info = used.link.call("records.info")
    assert info["records"] == before + 200 and info["damaged"] == 0
    # One programming each, and that of a sector's mark now and then.
    sectors = row["erase"] * row["n"]
    assert sectors >= 200 * row["bytes"] // 4096
    assert row["program"] * row["n"] == pytest.approx(200 + sectors, abs=1)
    assert row["read"] >= 1 and row["bytes"] > 150
    assert 0 < row["ms"] <= row["most_ms"]

    out = measure_store.records_out(used, 921600)
    assert out["bytes"] >= 100_000
    once = [piece for _, piece in transfer.pull(used, "records", {"from": 1})]
    numbers = [int.from_bytes(piece[:4], "big") for piece in once]
    assert [n for n in numbers if n] == list(range(1, before + 201))
    assert out["records"] % len(once) == 0
    assert out["bytes"] == out["records"] // len(once) * sum(map(len, once))


def test_a_journal_without_room(used: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    call = used.link.call
    before = call("records.info")["records"]

    def full(method: str, *arguments: Any, **options: Any) -> Any:
        answer = call(method, *arguments, **options)
        if method == "info":
            answer["journal"]["free_bytes"] = 5000
        return answer

    monkeypatch.setattr(used.link, "call", full)
    with pytest.raises(FaretapError, match="no room"):
        measure_store.append(used)
    assert call("records.info")["records"] == before


def test_the_configuration_is_verified(used: Session) -> None:
    row = measure_crypto.bundle(used)
    assert row is not None
    assert row["ms"] > 0 and row["parse_ms"] > 0
    assert row["bytes"] > 1000


def test_no_configuration_no_figure(session: Session) -> None:
    assert measure_crypto.bundle(session) is None


def test_a_deny_list(used: Session) -> None:
    row = measure_store.deny_list(used, 2000)
    assert row["entries"] == lists.info(used.link)["entries"] == 2000
    assert row["listed_us"] > 0 and row["unlisted_us"] > 0

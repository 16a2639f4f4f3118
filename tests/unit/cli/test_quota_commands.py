"""What `metergate quota` asks and prints, against a server whose answers are given."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from rich.console import Console

from metergate.cli import quota_watch
from metergate.v1 import quota_pb2 as pb
from tests.unit.cli.conftest import Done, Run
from tests.unit.cli.fake_server import FakeServer, refuse
from tests.unit.cli.test_commands import LIMIT, answers

REFUSAL: dict[str, Any] = {
    "allowed": False, "binding_limit": "api_calls/month", "limits": [LIMIT], "decision_id": "d.signed",
}  # fmt: skip
ALLOWED: dict[str, Any] = {"allowed": True, "limits": [LIMIT], "decision_id": "d-1"}
RESERVATION: dict[str, Any] = {
    "id": "r-1", "customer": "acme", "subject": "acme", "state": "STATE_OPEN",
    "amounts": [{"meter": "tokens", "amount": "1000", "used": "0", "labels": {"model": "a"}},
                {"meter": "calls", "amount": "10", "used": "7"}],
    "create_time": "2026-11-20T10:00:00Z", "expire_time": "2026-11-20T10:05:00Z",
}  # fmt: skip
RESERVATION_WORDS = "r-1 is open until 2026-11-20T10:05Z · tokens [model=a] 1,000 · calls 10, 7 used"


def reply(kind: type[Message], **content: Any) -> Any:
    return json_format.ParseDict(content, kind())


def said(done: Done) -> tuple[int, list[str], str]:
    return done.code, done.out.splitlines(), done.err


def test_consume_takes_or_refuses(run: Run, fake: FakeServer) -> None:
    receipts = [{"event_id": "e-1", "outcome": "OUTCOME_ACCEPTED"}]
    method = "QuotaService/ConsumeQuota"
    asked = answers(fake, method, reply(pb.ConsumeQuotaResponse, decision=ALLOWED, receipts=receipts))
    done = run("quota", "consume", "api_calls", "2.5", "--subject", "acme", "--label", "model=a", "--id", "e-1")
    assert said(done) == (
        0,
        ["allowed · 1 used · 99 left · resets 2026-12-01T00:00Z", "accepted e-1 · decision d-1"],
        "",
    )
    event = asked[0].events[0]
    assert (event.id, event.type, event.subject, event.amount, dict(event.labels)) == (
        "e-1", "api_calls", "acme", "2.5", {"model": "a"},
    )  # fmt: skip
    assert not asked[0].refuse_as_status
    asked = answers(fake, method, reply(pb.ConsumeQuotaResponse, decision=REFUSAL))
    done = run("quota", "consume", "api_calls", "--subject", "acme")
    assert said(done) == (
        4,
        [
            "refused by api_calls/month · 99 would fit · resets 2026-12-01T00:00Z · nothing charged",
            "decision d.signed",
        ],
        "",
    )
    assert (asked[0].events[0].amount, bool(asked[0].events[0].id)) == ("1", True)
    done = run("quota", "consume", "api_calls", "--subject", "acme", "--json")
    assert (done.code, json.loads(done.out)["decision"]["allowed"]) == (4, False)


def test_a_shadow_limit_is_told_of_and_is_not_the_one_that_counts(run: Run, fake: FakeServer) -> None:
    shadow = LIMIT | {"name": "stricter", "max": "1", "remaining": "0", "shadow": True, "would_refuse": True}
    answer = reply(pb.CheckQuotaResponse, decision=ALLOWED | {"limits": [shadow, LIMIT]})
    answers(fake, "QuotaService/CheckQuota", answer)
    done = run("quota", "check", "api_calls", "--subject", "acme")
    assert done.out == "allowed · 1 used · 99 left · resets 2026-12-01T00:00Z · stricter would refuse\n"
    answers(fake, "QuotaService/ListLimits", reply(pb.ListLimitsResponse, limits=[shadow]))
    assert re.search(r"stricter +1 +0 +1 +shadow", run("quota", "limits", "acme").out)


def test_reserve_prints_the_id_alone(run: Run, fake: FakeServer) -> None:
    method = "QuotaService/ReserveQuota"
    asked = answers(fake, method, reply(pb.ReserveQuotaResponse, decision=ALLOWED, reservation=RESERVATION))
    given = ["quota", "reserve", "tokens=1000", "calls=10", "--subject", "acme", "--label", "model=a"]
    done = run(*given, "--ttl", "2h", "--partial")
    assert said(done) == (0, ["r-1"], f"{RESERVATION_WORDS}\n")
    request = asked[0]
    assert [(one.meter, one.amount, dict(one.labels)) for one in request.amounts] == [
        ("tokens", "1000", {"model": "a"}), ("calls", "10", {"model": "a"}),
    ]  # fmt: skip
    assert (request.subject, request.ttl.seconds, request.partial_ok) == ("acme", 7200, True)
    assert request.request_id
    assert json.loads(run(*given, "--json").out)["reservation"]["state"] == "open"
    assert asked[1].ttl.seconds == 300
    assert asked[1].request_id != request.request_id
    answers(fake, method, reply(pb.ReserveQuotaResponse, decision=REFUSAL))
    done = run(*given)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("refused by api_calls/month · 99 would fit")
    done = run(*given, "--json")
    assert (done.code, json.loads(done.out)["decision"]["allowed"]) == (4, False)


def test_commit_records_under_ids_that_a_repeat_has_too(run: Run, fake: FakeServer) -> None:
    content = {
        "reservation": RESERVATION | {"state": "STATE_COMMITTED"},
        "receipts": [
            {"event_id": "r-1/tokens", "outcome": "OUTCOME_ACCEPTED", "unsettled": "nothing left"},
            {"event_id": "r-1/calls", "outcome": "OUTCOME_DUPLICATE"},
        ],
        "limits": [LIMIT | {"overrun": "3"}],
        "late": True,
    }
    asked = answers(fake, "QuotaService/CommitReservation", reply(pb.CommitReservationResponse, **content))
    done = run("quota", "commit", "r-1", "tokens=1200", "calls=7", "--label", "model=a")
    assert done.code == 0
    assert done.out.splitlines()[:3] == [
        "r-1 is committed · tokens [model=a] 1,000 · calls 10, 7 used · late, it was over before",
        "accepted r-1/tokens · it counts beside the reservation: nothing was left of it",
        "duplicate r-1/calls",
    ]
    assert re.search(r"api_calls/month +1 +99 +100 +hard +3", done.out)
    assert asked[0].reservation_id == "r-1"
    assert [(one.id, one.type, one.amount, one.subject, dict(one.labels)) for one in asked[0].events] == [
        ("r-1/tokens", "tokens", "1200", "", {"model": "a"}), ("r-1/calls", "calls", "7", "", {"model": "a"}),
    ]  # fmt: skip
    done = run("quota", "commit", "r-1", "calls=1", "--id", "more", "--subject", "key-7", "--json")
    assert json.loads(done.out)["late"] is True
    assert (asked[1].events[0].id, asked[1].events[0].subject) == ("more/calls", "key-7")


def test_p12_a_commit_that_is_not_all_taken_says_so(run: Run, fake: FakeServer) -> None:
    receipts = [{"event_id": "r-1/calls", "outcome": "OUTCOME_CONFLICT", "message": "it is known with another amount."}]
    response = reply(pb.CommitReservationResponse, reservation=RESERVATION, receipts=receipts)
    answers(fake, "QuotaService/CommitReservation", response)
    done = run("quota", "commit", "r-1", "calls=7")
    assert done.out.splitlines()[1] == "conflict r-1/calls · it is known with another amount"
    assert (done.code, done.err) == (
        1, "Error: Not all of the usage was recorded: commit the rest with another --id.\n",
    )  # fmt: skip


def test_extend_and_release(run: Run, fake: FakeServer) -> None:
    asked = answers(
        fake, "QuotaService/ExtendReservation", reply(pb.ExtendReservationResponse, reservation=RESERVATION)
    )
    assert run("quota", "extend", "r-1", "--ttl", "1d").out == f"{RESERVATION_WORDS}\n"
    assert (asked[0].reservation_id, asked[0].ttl.seconds) == ("r-1", 86_400)
    released = RESERVATION | {"state": "STATE_RELEASED"}
    asked = answers(fake, "QuotaService/ReleaseReservation", reply(pb.ReleaseReservationResponse, reservation=released))
    assert run("quota", "release", "r-1").out.startswith("r-1 is released · tokens")
    assert json.loads(run("quota", "release", "r-1", "--json").out)["reservation"]["state"] == "released"
    assert asked[0].reservation_id == "r-1"


def test_write_off_frees_what_is_forfeited(run: Run, fake: FakeServer) -> None:
    lease = {"id": "l-1", "holder": "worker-1", "settled": "1200", "state": "STATE_RELEASED"}
    asked = answers(fake, "QuotaService/ReleaseLease", reply(pb.ReleaseLeaseResponse, lease=lease))
    assert run("quota", "write-off", "l-1").out == "l-1 of worker-1 is released · 1,200 used\n"
    assert json.loads(run("quota", "write-off", "l-1", "--json").out)["lease"]["state"] == "released"
    assert asked[0].lease_id == "l-1"


def test_limits_show_what_is_held_where_it_is_some(run: Run, fake: FakeServer) -> None:
    def shown(*limits: dict[str, Any]) -> list[str]:
        content = {"customer": "acme", "plan": "free", "limits": list(limits), "as_of": "2026-11-20T10:00:00Z"}
        answers(fake, "QuotaService/ListLimits", reply(pb.ListLimitsResponse, **content))
        return run("quota", "limits", "acme").out.splitlines()

    zero = LIMIT | {"reserved": "0", "leased": "0", "forfeited": "0"}
    assert shown(zero)[1].split() == ["limit", "used", "left", "max", "policy", "overrun", "resets"]
    held = zero | {"name": "held", "reserved": "1000", "forfeited": "0.5"}
    lines = shown(zero, held)
    assert lines[1].split()[:5] == ["limit", "used", "reserved", "forfeited", "left"]
    assert lines[3].split()[:5] == ["held", "1", "1,000", "0.5", "99"]
    lifetime = {name: value for name, value in held.items() if name != "reset_time"}
    assert "1970" not in shown(lifetime)[2]


def test_watch_looks_as_often_as_it_is_told(run: Run, fake: FakeServer) -> None:
    content = {"customer": "acme", "plan": "free", "limits": [LIMIT], "as_of": "2026-11-20T10:00:00Z"}
    asked = answers(fake, "QuotaService/ListLimits", reply(pb.ListLimitsResponse, **content))
    watch = ["quota", "watch", "--subject", "acme", "--meter", "api_calls", "--every", "0.1"]
    done = run(*watch, "--count", "2")
    heading = "customer acme on plan free, as of 2026-11-20T10:00Z"
    assert (done.code, done.out.splitlines()[0], done.out.count(heading)) == (0, heading, 2)
    assert [(one.subject, list(one.meters)) for one in asked] == [("acme", ["api_calls"])] * 2
    done = run(*watch, "--count", "3", "--json")
    assert [json.loads(line)["customer"] for line in done.out.splitlines()] == ["acme"] * 3
    assert run(*watch, "--every", "0").code == 2


def test_watch_ends_on_ctrl_c_and_with_the_server(run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    answers(fake, "QuotaService/ListLimits", pb.ListLimitsResponse(customer="acme"))
    monkeypatch.setattr(time, "sleep", interrupted)
    done = run("quota", "watch", "--subject", "acme")
    assert (done.code, done.err) == (0, "")
    fake.handlers["QuotaService/ListLimits"] = lambda request, context: refuse(
        context, grpc.StatusCode.NOT_FOUND, "SUBJECT_NOT_FOUND", "There is no subject 'acme'."
    )
    done = run("quota", "watch", "--subject", "acme")
    assert (done.code, done.out) == (1, "")


def test_watch_on_a_terminal_draws_in_place(run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"customer": "acme", "plan": "free", "limits": [LIMIT], "as_of": "2026-11-20T10:00:00Z"}
    answers(fake, "QuotaService/ListLimits", reply(pb.ListLimitsResponse, **content))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    terminal = Console(force_terminal=True, width=120)
    monkeypatch.setattr(type(quota_watch.screen), "out", property(lambda screen: terminal))
    done = run("quota", "watch", "--subject", "acme", "--every", "0.1", "--count", "2")
    assert done.code == 0
    assert "\x1b[1A" in done.out  # the cursor goes up again


def test_explain_shows_what_stood_behind_it(run: Run, fake: FakeServer) -> None:
    limit = {
        "state": LIMIT | {"reserved": "10", "labels": {"model": "a"}},
        "events": [{"id": "e-9", "source": "web", "seq": "41", "value": "1000"}],
        "event_count": "12",
        "holds": [{"id": "r-1", "reserved": "10"}],
    }
    content = {"decision": REFUSAL, "confirmed": True, "customer": "acme", "seq": "42", "limits": [limit]}
    asked = answers(fake, "QuotaService/ExplainDecision", reply(pb.ExplainDecisionResponse, **content))
    done = run("quota", "explain", "d.signed", "--events", "1")
    lines = done.out.splitlines()
    assert lines[0].startswith("refused by api_calls/month · 99 would fit")
    assert lines[1] == "customer acme, worked out again from the ledger at seq 42: that is what was answered"
    assert "api_calls/month: 12 events, the newest 1" in lines
    assert ["e-9", "web", "1,000", "41"] in [line.split() for line in lines]
    assert ["r-1", "10", "0", "0"] in [line.split() for line in lines]
    assert (asked[0].decision_id, asked[0].events) == ("d.signed", 1)
    other = pb.ExplainDecisionResponse(customer="acme", seq=42)
    answers(fake, "QuotaService/ExplainDecision", other)
    assert "something else was answered" in run("quota", "explain", "d").out
    plain = json.loads(run("quota", "explain", "d", "--json").out)
    assert (plain["confirmed"], plain["decision"]["allowed"]) == (False, False)


@pytest.mark.parametrize(
    ("reason", "code", "cure"),
    [
        ("RESERVATION_NOT_FOUND", grpc.StatusCode.NOT_FOUND, "its id is what `metergate quota reserve` printed"),
        ("RESERVATION_CLOSED", grpc.StatusCode.FAILED_PRECONDITION, "make another with `metergate quota reserve`"),
        ("METER_CAN_SHRINK", grpc.StatusCode.FAILED_PRECONDITION, "record its usage with `metergate usage record`"),
        ("UNIT_PARTLY_KNOWN", grpc.StatusCode.ALREADY_EXISTS, "consume the new events as a unit of their own"),
        ("EVENT_CONFLICT", grpc.StatusCode.ALREADY_EXISTS, "give it an --id of its own"),
    ],
)
def test_p12_what_cannot_be_is_one_sentence_with_what_to_do(
    run: Run, fake: FakeServer, reason: str, code: grpc.StatusCode, cure: str
) -> None:
    fake.handlers["QuotaService/ReleaseReservation"] = lambda request, context: refuse(context, code, reason, "It is.")
    done = run("quota", "release", "r-1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: It is: ")
    assert cure in done.err
    assert done.err.count("\n") == 1


def test_p12_amounts_and_stretches_that_are_none(run: Run) -> None:
    for wrong in (["calls"], ["calls=1", "calls=2"], ["=1"]):
        done = run("quota", "reserve", *wrong, "--subject", "acme")
        assert (done.code, "METER=AMOUNT" in done.err) == (2, True)
    done = run("quota", "extend", "r-1", "--ttl", "soon")
    assert (done.code, done.err) == (1, "Error: 'soon' is not a stretch of time: write 30s, 10m, 2h or 1d.\n")


def test_p5_a_counter_that_was_not_looked_up_shows_no_figures(run: Run, fake: FakeServer) -> None:
    unknown = {"name": "api_calls/month", "max": "100", "would_fit": "0", "unknown": True}
    for decision, words, code in (
        ({"allowed": True}, "allowed", 0), ({"binding_limit": "api_calls/month"}, "refused by api_calls/month", 4),
    ):  # fmt: skip
        answer = reply(pb.CheckQuotaResponse, decision=decision | {"limits": [unknown], "degraded": True})
        answers(fake, "QuotaService/CheckQuota", answer)
        done = run("quota", "check", "api_calls", "--subject", "acme")
        assert said(done) == (code, [f"{words} · not looked up · degraded"], "")

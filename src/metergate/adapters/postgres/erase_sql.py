"""The statements of an erasure. `:name` stands for a parameter; its type stands in `_TYPES`.

A pseudonym is a keyed hash with a key of the erasure's own, which is thrown away at its end: the same text becomes the
same pseudonym in all tables, so that sums per subject and per label stay, and afterwards nobody can tell which it was.
What is a pseudonym already stays as it is, so that a statement may run twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TYPES = {
    "tenant": "text",
    "customer": "text",
    "new_id": "text",
    "id": "text",
    "ids": "text[]",
    "customers": "text[]",
    "pools": "text[]",
    "pool": "text",
    "series": "text[]",
    "subjects": "text[]",
    "kept": "text[]",
    "labels": "text[]",
    "fixed": "text[]",
    "words": "jsonb",
    "used": "text[]",
    "values": "text[]",
    "counts": "jsonb",
    "step": "text",
    "service": "text",
    "key_id": "text",
    "dimensions": "boolean",
    "event_ids": "boolean",
    "secret": "bytea",
    "id_secret": "bytea",
    "start": "timestamptz",
    "end": "timestamptz",
    "gone": "timestamptz",
    "started": "timestamptz",
    "place": "bigint",
    "until": "bigint",
    "most": "bigint",
    "idle": "interval",
}
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)\b")


def bound(statement: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The statement as the driver takes it, and its parameters in order."""
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        name = found[1]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}::{_TYPES[name]}"

    text = _PARAMETER.sub(place, statement)
    return text, [values[name] for name in names]


def _hashed(text: str, secret: str) -> str:
    return f"'erased-' || left(encode(sha256({secret} || convert_to({text}, 'UTF8')), 'hex'), 24)"


def _unless(text: str, stays: str, secret: str) -> str:
    pseudonym = f"{text} ~ '^erased-[0-9a-f]{{24}}$'"
    return f"CASE WHEN {text} = '' OR {pseudonym}{stays} THEN {text} ELSE {_hashed(text, secret)} END"


SUBJECT = _unless("e.subject", " OR e.subject = ANY(:kept)", ":secret")
_VALUE = _unless("l.value", "", ":secret")
_STAYS = """l.key = ANY(:labels) AND (NOT :dimensions OR l.key = ANY(:fixed)
    OR :words @> jsonb_build_object(l.key, jsonb_build_array(l.value)))"""
# Labels that no meter reads go; the values of the others stay, or become pseudonyms.
LABELS = f"""(SELECT jsonb_object_agg(l.key, CASE WHEN {_STAYS} THEN l.value ELSE {_VALUE} END)
    FROM jsonb_each_text(e.labels) l WHERE l.key = ANY(:labels))"""
# The same for combinations that were summed up: all keys stay, since a combination is one of them all.
_COMBINATION = """coalesce((SELECT jsonb_object_agg(l.key, CASE WHEN {stays} THEN l.value ELSE {value} END)
    FROM jsonb_each_text({column}) l), '{{}}')"""
DIMENSIONS = _COMBINATION.format(stays=_STAYS, value=_VALUE, column="e.dimensions")
_FILTER = _COMBINATION.format(stays=_STAYS, value=_VALUE, column="e.filter::jsonb")
_COMPACT = f"""replace(replace(({_FILTER})::text, '": "', '":"'), '", "', '","')"""
_VALUES = """(SELECT jsonb_object_agg(v.key, v.value) FROM jsonb_each(e.values) v WHERE v.key = ANY(:values))"""
# All rows of an event have one id. One that was corrected lately, or at once since the erasure began, keeps it, and so
# does one that a correction took from or to another customer: it is known there by its id.
_CORRECTED = """EXISTS (
    SELECT FROM usage_version v WHERE v.tenant = :tenant AND v.source = e.source AND v.id = e.id AND {})"""
_LATELY = _CORRECTED.format("v.recorded_at >= CASE WHEN :event_ids THEN :started ELSE :gone END")
_ELSEWHERE = _CORRECTED.format("(v.customer <> :customer OR v.from_customer <> :customer)")
_FORGOTTEN = f"((:event_ids OR e.recorded_at < :gone) AND NOT {_LATELY} AND NOT {_ELSEWHERE})"
_EVENT_ID = f"CASE WHEN {_FORGOTTEN} THEN {{}} ELSE {{}} END"
_ID, _SOURCE = [
    _EVENT_ID.format(_unless(column, "", ":id_secret"), column) for column in ("e.id", "e.source")
]  # fmt: skip

LOCK = """
SELECT customer, is_pool, pool FROM customer_head WHERE tenant = :tenant AND customer = ANY(:customers)
ORDER BY customer FOR UPDATE"""
WHOSE = "SELECT customer, step FROM customer_erasure WHERE tenant = :tenant AND id = :id"
LOCK_ROW = "SELECT * FROM customer_erasure WHERE tenant = :tenant AND id = :id FOR UPDATE"
SEQS = "SELECT customer, seq FROM customer_head WHERE tenant = :tenant AND customer = ANY(:customers)"
RAISE = """
UPDATE customer_head SET seq = seq + 1 WHERE tenant = :tenant AND customer = ANY(:customers)"""
# What cannot be rewritten in its place is made anew from the events, before it is used again.
BEHIND = "UPDATE customer_head SET metering_version = 0 WHERE tenant = :tenant AND customer = ANY(:customers)"

# The ids of customers that were merged into this one are subjects of it: like its own, they are no names of people's.
KEPT = """
SELECT s.subject FROM subject s JOIN customer c ON c.tenant = :tenant AND c.customer = s.subject
WHERE s.tenant = :tenant AND s.customer = :customer"""
OPEN_HOLDS = "SELECT count(DISTINCT id) FROM hold WHERE tenant = :tenant AND customer = :customer AND state = 'open'"
TAKEN = """
SELECT EXISTS (SELECT FROM customer_head WHERE tenant = :tenant AND customer = :new_id)
    OR EXISTS (SELECT FROM subject WHERE tenant = :tenant AND subject = :new_id)"""
BEGIN = """
INSERT INTO customer_erasure (tenant, id, customer, new_id, dimensions, event_ids, service, key_id, step, place, pools,
    counts, started_at, touched_at, secret, id_secret)
VALUES (:tenant, :id, :customer, :new_id, :dimensions, :event_ids, :service, :key_id, 'events', 0, '{}', '{}',
    clock_timestamp(), clock_timestamp(), :secret, :id_secret)"""
# Before anything else, so that usage under the old names is no longer known to be the customer's.
UNNAME = """
UPDATE customer SET name = '' WHERE tenant = :tenant AND customer = :customer"""
SUBSCRIBED = "SELECT EXISTS (SELECT FROM subscription WHERE tenant = :tenant AND customer = :customer)"
# Invoices that were made keep to whom they went, as the law has it; those that will be bear the same taxes as before.
DETAILS = f"""
WITH taxed AS (
    UPDATE billing_details SET body = coalesce((
        SELECT jsonb_object_agg(d.key, d.value) FROM jsonb_each(body) d
        WHERE d.key IN ('country', 'region', 'tax_rates', 'tax_exempt')), '{{}}')
    WHERE tenant = :tenant AND customer = :customer AND ({SUBSCRIBED})
)
DELETE FROM billing_details WHERE tenant = :tenant AND customer = :customer AND NOT ({SUBSCRIBED})"""
SUBJECTS = f"""
UPDATE subject e SET subject = {SUBJECT}
WHERE e.tenant = :tenant AND e.customer = :customer AND e.subject <> ALL(:kept)"""
MOVED = "UPDATE customer_head SET moved = true WHERE tenant = :tenant AND customer = :customer"

_MINE = "e.tenant = :tenant AND e.customer = :customer"
_RANGE = f"{_MINE} AND e.counted_at >= :start AND e.counted_at < :end"
EVENTS_END = f"""
SELECT e.counted_at FROM usage_event e WHERE {_MINE} AND e.counted_at >= :start
ORDER BY e.counted_at OFFSET :most LIMIT 1"""
SERIES = """
WITH RECURSIVE s AS (
    (SELECT {key} AS name FROM usage_rollup WHERE tenant = :tenant AND customer = :customer ORDER BY {key} LIMIT 1)
    UNION ALL
    SELECT (SELECT r.{key} FROM usage_rollup r WHERE r.tenant = :tenant AND r.customer = :customer AND r.{key} > s.name
        ORDER BY r.{key} LIMIT 1)
    FROM s WHERE s.name IS NOT NULL
)
SELECT name FROM s WHERE name IS NOT NULL"""
ROLLUPS_END = """
SELECT min(found.quarter) FROM unnest(:series) AS s(name) CROSS JOIN LATERAL (
    SELECT e.quarter FROM usage_rollup e
    WHERE e.tenant = :tenant AND e.customer = :customer AND e.{key} = s.name AND e.quarter >= :start
    ORDER BY e.quarter OFFSET :most LIMIT 1
) found"""
NAMED = f"""
SELECT e.subject, e.pool FROM usage_event e WHERE {_RANGE}
UNION SELECT e.subject, :pool FROM usage_rollup e
WHERE {_MINE} AND e.{{key}} = ANY(:series) AND e.quarter >= :start AND e.quarter < :end"""
IDS = f"""
UPDATE usage_id e SET id = {_unless("e.id", "", ":id_secret")}, source = {_unless("e.source", "", ":id_secret")}
FROM usage_event o
WHERE o.tenant = :tenant AND o.customer = :customer AND o.counted_at >= :start AND o.counted_at < :end
    AND e.tenant = :tenant AND e.source = o.source AND e.id = o.id AND NOT {_LATELY} AND NOT {_ELSEWHERE}"""
# Before the events: they say which ones.
VERSIONS = f"""
UPDATE usage_version n SET id = {_unless("n.id", "", ":id_secret")}, source = {_unless("n.source", "", ":id_secret")}
FROM usage_event e WHERE {_RANGE} AND {_FORGOTTEN} AND n.tenant = :tenant AND n.source = e.source AND n.id = e.id"""
SOME_FORGOTTEN = f"SELECT EXISTS (SELECT FROM usage_event e WHERE {_RANGE} AND {_FORGOTTEN})"
EVENTS = f"""
UPDATE usage_event e SET subject = {SUBJECT}, labels = {LABELS}, values = {_VALUES},
    settles = CASE WHEN e.settles ~ '^[rl]_[a-z2-7]{{24}}$' THEN e.settles END, id = {_ID}, source = {_SOURCE}
WHERE {_RANGE}"""
EVENT_IDS = f"UPDATE usage_event e SET id = {_ID}, source = {_SOURCE} WHERE {_RANGE}"
ROLLUPS = f"""
UPDATE usage_rollup e SET subject = {SUBJECT}, dimensions = {DIMENSIONS}
WHERE {_MINE} AND e.{{key}} = ANY(:series) AND e.quarter >= :start AND e.quarter < :end"""
# The events of closing balances are gone, and their ids with them.
CLOSED = f"""
UPDATE usage_closed e SET subject = {SUBJECT}, dimensions = {DIMENSIONS},
    last_key = {_unless("e.last_key", "", ":id_secret")}
WHERE {_MINE} AND e.{{key}} = ANY(:series) AND e.quarter >= :start AND e.quarter < :end"""
POOL_CLOSED = CLOSED + " AND e.subject = ANY(:subjects)"
POOL_ROLLUPS = ROLLUPS + " AND e.subject = ANY(:subjects)"
SHARED_SUBJECTS = """
SELECT EXISTS (SELECT FROM subject_move WHERE tenant = :tenant AND subject = ANY(:subjects))"""
# They are born again from what the events say then. The state of a rate of one subject begins anew.
COUNTERS = """
DELETE FROM usage_counter WHERE tenant = :tenant AND (
    (customer = :customer AND subject <> '' AND subject <> ALL(:kept))
    OR (customer = ANY(:pools) AND subject = ANY(:subjects) AND subject <> ALL(:kept))
    OR (customer = ANY(:customers) AND :dimensions AND filter <> ''))
    AND customer = ANY(:customers)"""
# Counters that tell values apart hold these.
UNIQUE_COUNTERS = """
DELETE FROM usage_counter c USING meter m
WHERE c.tenant = :tenant AND c.customer = ANY(:customers) AND m.tenant = :tenant AND m.name = c.meter
    AND m.aggregation = 'unique'"""
COUNTER_VALUES = "DELETE FROM counter_value WHERE tenant = :tenant AND customer = ANY(:customers)"
# News of the customer go as they are; of a pool's, those that name one of its subjects.
OUTBOX = """
DELETE FROM outbox o WHERE o.tenant = :tenant AND (o.customer = :customer OR (o.customer = ANY(:pools) AND EXISTS (
    SELECT FROM unnest(:subjects || :used) AS s(name)
    WHERE s.name <> ALL(:kept) AND position(s.name IN o.body) > 0)))"""
LIMIT_EVENTS = f"""
UPDATE limit_event e SET subject = {SUBJECT}
WHERE e.tenant = :tenant AND e.customer = ANY(:customers) AND e.subject = ANY(:subjects)"""

NAMED_BY_HOLDS = f"SELECT DISTINCT e.subject FROM hold_move e WHERE {_MINE} AND e.seq > :place AND e.seq <= :until"
# Label values that limits of a pool may be told by.
WORDS = f"""
SELECT DISTINCT l.value FROM usage_event e CROSS JOIN LATERAL jsonb_each_text(e.labels) l
WHERE :dimensions AND {_RANGE} AND l.key = ANY(:labels) AND l.value <> ''"""
WORDS_OF_HOLDS = f"""
SELECT DISTINCT l.value FROM hold_move e CROSS JOIN LATERAL jsonb_each_text(e.labels) l
WHERE :dimensions AND {_MINE} AND e.seq > :place AND e.seq <= :until AND l.key = ANY(:labels) AND l.value <> ''"""
POOL_LIMIT_EVENTS = f"""
UPDATE limit_event e SET filter = {_COMPACT}
WHERE e.tenant = :tenant AND e.customer = ANY(:pools) AND e.filter <> '' AND EXISTS (
    SELECT FROM jsonb_each_text(e.filter::jsonb) f WHERE f.value = ANY(:used))"""
HOLD_MOVES_END = "SELECT coalesce(max(seq), 0) FROM hold_move WHERE tenant = :tenant AND customer = :customer"
_HELD_LABELS = f"coalesce({LABELS}, '{{}}')"
HOLD_MOVES = f"""
UPDATE hold_move e SET subject = {SUBJECT}, labels = {_HELD_LABELS}
WHERE {_MINE} AND e.seq > :place AND e.seq <= :until"""

HOLD_POOLS = "SELECT DISTINCT pool FROM hold WHERE tenant = :tenant AND customer = :customer AND pool <> ''"
POOL_HOLD_MOVES = f"""
UPDATE hold_move e SET subject = {SUBJECT}, labels = {_HELD_LABELS}
FROM (SELECT DISTINCT id FROM hold_move WHERE tenant = :tenant AND customer = :customer) mine
WHERE e.tenant = :tenant AND e.customer = ANY(:pools) AND e.id = mine.id"""
# The digest of the request goes too: a text that is guessed could be told by it.
HOLDS = f"""
UPDATE hold e SET subject = {SUBJECT}, labels = {_HELD_LABELS}, holder = {_unless("e.holder", "", ":secret")},
    digest = decode(md5(gen_random_uuid()::text), 'hex')
WHERE {_MINE} AND e.state <> 'open'"""
ALL_LIMIT_EVENTS = f"""
UPDATE limit_event e SET subject = {SUBJECT},
    filter = CASE WHEN e.filter = '' THEN '' ELSE {_COMPACT} END
WHERE {_MINE}"""
# A subject that is another customer's now is named there as well.
SUBJECT_MOVES = f"""
UPDATE subject_move e SET subject = {SUBJECT}
WHERE e.tenant = :tenant AND (e.from_customer = :customer OR e.to_customer = :customer) AND NOT EXISTS (
    SELECT FROM subject s WHERE s.tenant = :tenant AND s.subject = e.subject AND s.customer <> :customer)"""
REASONS = """
UPDATE usage_version SET reason = '' WHERE tenant = :tenant AND (customer = :customer OR from_customer = :customer)"""
STAGED = f"""
UPDATE backfill_row e SET subject = {SUBJECT}, labels = {LABELS}, values = {_VALUES}, message = '', reason = ''
WHERE e.tenant = :tenant AND (e.customer = :customer OR e.owner = :customer)"""
# Answers that are kept for repeats name the customer: in protobuf, behind its length.
ANSWERS = """
DELETE FROM request WHERE tenant = :tenant
    AND position(CASE WHEN octet_length(:customer) < 128
        THEN decode(lpad(to_hex(octet_length(:customer)), 2, '0'), 'hex') ELSE '' END
        || convert_to(:customer, 'UTF8') in answer) > 0"""

NOTE = """
UPDATE customer_erasure SET step = :step, place = :place, pools = :pools, counts = :counts,
    touched_at = clock_timestamp() WHERE tenant = :tenant AND id = :id"""
FORGET_SECRETS = """
UPDATE customer_erasure SET secret = NULL, finished_at = coalesce(finished_at, clock_timestamp()),
    id_secret = CASE WHEN :step = 'over' THEN NULL ELSE id_secret END
WHERE tenant = :tenant AND id = :id"""
LEFT = """
SELECT tenant, id FROM customer_erasure
WHERE id_secret IS NOT NULL AND touched_at < clock_timestamp() - :idle AND (step <> 'done' OR finished_at < :gone)
ORDER BY touched_at LIMIT :most"""

# Renaming. What stands for the customer itself among the subjects of its pools changes there as well.
COPY = """
INSERT INTO customer (tenant, customer, name, created_at, merged_into)
SELECT tenant, :new_id, name, created_at, merged_into FROM customer WHERE tenant = :tenant AND customer = :customer"""
RENAME_IDS = """
UPDATE usage_id i SET customer = :new_id FROM usage_event e
WHERE e.tenant = :tenant AND e.customer = :customer AND i.tenant = :tenant AND i.source = e.source AND i.id = e.id
    AND i.customer = :customer"""
OWN_COUNTERS = """
DELETE FROM usage_counter WHERE tenant = :tenant AND customer = ANY(:customers) AND subject = :customer"""
# Every column of a table of ours in which a customer is named, but for the customer's own row and the ids, which stand
# apart for want of an index; and every table that has subjects.
NAMING = """
SELECT c.relname, a.attname, EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'subject')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attname IN ('customer', 'pool', 'from_customer', 'to_customer', 'merged_into', 'owner',
        'from_pool')
    AND (c.relname, a.attname) <> ('customer', 'customer') AND c.relname <> 'usage_id'
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant')
ORDER BY 1, 2"""
RENAME = "UPDATE {table} SET {column} = :new_id WHERE tenant = :tenant AND {column} = :customer"
RENAME_OWN_SUBJECT = """
UPDATE {table} SET subject = :new_id WHERE tenant = :tenant AND customer = ANY(:customers) AND subject = :customer"""
DELETE_CUSTOMER = "DELETE FROM customer WHERE tenant = :tenant AND customer = :customer"

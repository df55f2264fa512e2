#!/usr/bin/env python3
"""Rows as messages in Avro, written and read by fastavro.

`write SEED ROWS`: standard output is {"schemas": {id: schema}, "messages": [{"id", "hex", "row"}]}: random rows of several
writers' schemas of one table. `read`: standard input is {"schema", "hex": [datum]}, standard output their rows.

A row is a list of what the columns hold, as text: numbers, DECIMALs times their scale, days, microseconds of a
timestamp, bytes in hexadecimal; null is NULL.
"""

import datetime
import decimal
import io
import json
import random
import sys
import uuid

import fastavro

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.date(1970, 1, 1)
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}
FIXED = {"type": "fixed", "name": "money", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 4}
# column, its usual type
COLUMNS = [
    ("ts", {"type": "long", "logicalType": "timestamp-millis"}),
    ("n", "long"),
    ("i", "int"),
    ("b", "boolean"),
    ("f", "double"),
    ("s", "string"),
    ("y", "bytes"),
    ("d", DECIMAL),
    ("day", {"type": "int", "logicalType": "date"}),
    ("tz", {"type": "long", "logicalType": "timestamp-micros"}),
    ("u", "string"),
    ("e", "string"),
]
NAMES = [name for name, _ in COLUMNS]


def record(fields, name="payment"):
    return {"type": "record", "name": name, "namespace": "test.of", "fields": [{"name": n, "type": t} for n, t in fields]}


def schemas():
    usual = dict(COLUMNS)
    first = record([(n, ["null", t]) for n, t in COLUMNS])
    changed = dict(usual, d=FIXED, ts={"type": "long", "logicalType": "local-timestamp-millis"})
    changed["u"] = {"type": "string", "logicalType": "uuid"}
    changed["e"] = {"type": "enum", "name": "status", "symbols": ["UP", "DOWN", "GONE"]}
    nested = record([("s", "string"), ("more", {"type": "array", "items": ["null", "int", "string"]})], "nested")
    second = [(n, [changed[n], "null"]) for n in reversed(NAMES)]
    second[3:3] = [("extra", nested), ("tags", {"type": "map", "values": "double"}), ("either", ["int", "null", "string"])]
    # a type that is widened, columns that are not there, none that may be null
    third = [(n, usual[n]) for n in NAMES if n not in ("u", "e", "y")]
    third = [(n, {"n": "int", "f": "float"}.get(n, t)) for n, t in third]
    return {1: first, 7: record(second), 300: record(third)}


def value(name, draw, small):
    limit = 2**31 - 1 if small else 2**63 - 1
    text = "".join(draw.choice("abcXYZ 0189_äß€𝄞\n\"") for _ in range(draw.randrange(12)))
    return {
        "ts": lambda: EPOCH + datetime.timedelta(milliseconds=draw.randrange(4 * 10**12)),
        "n": lambda: draw.choice([0, -1, limit, -limit - 1, draw.randrange(-limit, limit)]),
        "i": lambda: draw.choice([0, -(2**31), 2**31 - 1, draw.randrange(10**6)]),
        "b": lambda: draw.random() < 0.5,
        "f": lambda: draw.choice([0.0, -1.5, 2.0**40, draw.randrange(2**20) / 64]),
        "s": lambda: text,
        "y": lambda: draw.randbytes(draw.randrange(40)),
        "d": lambda: decimal.Decimal(draw.choice([0, 1, -1, 10**20 - 1, draw.randrange(-(10**9), 10**9)])).scaleb(-4, CONTEXT),
        "day": lambda: DAY + datetime.timedelta(days=draw.randrange(-20000, 80000)),
        "tz": lambda: EPOCH + datetime.timedelta(microseconds=draw.randrange(-(10**15), 4 * 10**15)),
        "u": lambda: str(uuid.UUID(int=draw.getrandbits(128))),
        "e": lambda: draw.choice(["UP", "DOWN", "GONE"]),
    }[name]()


CONTEXT = decimal.Context(prec=60)


def text(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return str(int(value.scaleb(4, CONTEXT)))
    if isinstance(value, datetime.datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)) - EPOCH
        return str((since.days * 86400 + since.seconds) * 10**6 + since.microseconds)
    if isinstance(value, datetime.date):
        return str((value - DAY).days)
    if isinstance(value, float):
        return value.hex()
    return str(value)


def datum(schema, row):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, row)
    return out.getvalue()


def write(seed, rows):
    draw, made, messages = random.Random(seed), schemas(), []
    parsed = {i: fastavro.parse_schema(schema) for i, schema in made.items()}
    for _ in range(rows):
        which = draw.choice([1, 1, 7, 300])
        nullable = which != 300
        row = {n: None if nullable and n != "ts" and draw.random() < 0.2 else value(n, draw, not nullable) for n in NAMES}
        if which == 300:
            row.update(u=None, e=None, y=None)
        given = dict(row)
        if which == 7:
            given["ts"] = given["ts"].replace(tzinfo=None)
            given["u"] = given["u"] and uuid.UUID(given["u"])
            given["extra"] = {"s": "x", "more": [None, 3, "four"]}
            given["tags"], given["either"] = {"a": 1.0, "b": 2.0}, draw.choice([5, None, "six"])
        bytes_of = b"\0" + which.to_bytes(4, "big") + datum(parsed[which], given)
        messages.append({"id": which, "hex": bytes_of.hex(), "row": [text(row[n]) for n in NAMES]})
    return {"schemas": {str(i): json.dumps(s) for i, s in made.items()}, "messages": messages}


def read(asked):
    schema = fastavro.parse_schema(json.loads(asked["schema"]))
    rows = []
    for message in asked["hex"]:
        source = io.BytesIO(bytes.fromhex(message))
        row = fastavro.schemaless_reader(source, schema)
        assert not source.read(), "bytes behind the datum"
        rows.append([text(row[n]) for n in NAMES])
    return rows


if sys.argv[1] == "write":
    json.dump(write(int(sys.argv[2]), int(sys.argv[3])), sys.stdout)
else:
    json.dump(read(json.load(sys.stdin)), sys.stdout)

#!/usr/bin/env python3
"""Rows as messages in protocol buffers, written and read by Google's package `protobuf`.

`write SEED ROWS`: standard output is {"set", "messages": [{"hex", "row"}]}: a FileDescriptorSet, and random rows of
several writers' messages, which `test.Payment` in the set reads. `read`: standard input is {"message", "hex": [message]},
standard output their rows.

A row is a list of what the columns hold, as text: numbers, DECIMALs times their scale, days, nanoseconds of a
timestamp, bytes in hexadecimal; null is NULL.
"""

import datetime
import decimal
import json
import random
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2

F = descriptor_pb2.FieldDescriptorProto
DAY = datetime.date(1970, 1, 1)
GOOGLE = "google.protobuf."
# name, number, type; `?`: NULL where it is not there
FIELDS = [
    ("ts", 1, "Timestamp"),
    ("n", 2, "int64?"),
    ("u", 3, "uint64?"),
    ("i", 4, "sint32?"),
    ("x", 5, "fixed32?"),
    ("q", 6, "sfixed64?"),
    ("b", 7, "bool?"),
    ("f", 8, "double?"),
    ("g", 9, "float?"),
    ("s", 10, "string?"),
    ("y", 11, "bytes?"),
    ("d", 12, "string?"),
    ("day", 13, "string?"),
    ("e", 14, "enum:Status?"),
    ("k", 15, "enum:Status?"),
    ("w", 16, "Int64Value"),
    ("t", 17, "StringValue"),
    ("tz", 18, "Timestamp"),
    ("city", 2000, "message:City"),
    ("o1", 20, "int64|"),
    ("o2", 21, "string|"),
    ("z", 19, "int64"),
]
NAMES = [name for name, _, _ in FIELDS if name != "city"] + ["city.name", "city.zip"]
EXTRA = [
    ("tags", 30, "string*"),
    ("counts", 31, "int32*"),
    ("far", 536870911, "message:Payment"),
    ("more", 32, "message:City*"),
    ("note", 33, "string?"),
    ("o3", 34, "bytes|"),
]


def scalar(field, of):
    kinds = {"message": F.TYPE_MESSAGE, "enum": F.TYPE_ENUM}
    kind, _, name = of.partition(":")
    if kind in kinds:
        field.type, field.type_name = kinds[kind], "." + name
    elif of[0].isupper():
        field.type, field.type_name = F.TYPE_MESSAGE, "." + GOOGLE + of
    else:
        field.type = getattr(F, "TYPE_" + of.upper())


def message(into, package, name, fields, proto3, required=()):
    into.name = name
    into.oneof_decl.add(name="either")
    for called, number, of in fields:
        field = into.field.add(name=called, number=number, label=F.LABEL_OPTIONAL)
        plain = of.rstrip("?|*")
        scalar(field, plain.replace(":", f":{package}.") if ":" in plain else plain)
        if of.endswith("*"):
            field.label = F.LABEL_REPEATED
        elif of.endswith("|"):
            field.oneof_index = 0
        elif called in required:
            field.label = F.LABEL_REQUIRED
        elif of.endswith("?") and proto3:
            field.proto3_optional, field.oneof_index = True, len(into.oneof_decl)
            into.oneof_decl.add(name="_" + called)


def schema(package, fields, proto3=True, required=()):
    file = descriptor_pb2.FileDescriptorProto(name=package + ".proto", package=package)
    file.syntax = "proto3" if proto3 else "proto2"
    file.dependency.extend([GOOGLE.replace(".", "/") + n for n in ("timestamp.proto", "wrappers.proto")])
    message(file.message_type.add(), package, "Payment", fields, proto3, required)
    city = [("name", 1, "string?"), ("zip", 2, "int32")]
    message(file.message_type.add(), package, "City", city, proto3)
    for made in file.message_type:
        if not any(f.HasField("oneof_index") and f.oneof_index == 0 for f in made.field):
            del made.oneof_decl[0]
            for f in made.field:
                if f.HasField("oneof_index"):
                    f.oneof_index -= 1
    status = file.enum_type.add(name="Status")
    for number, called in enumerate(["NONE", "UP", "DOWN"]):
        status.value.add(name=called, number=number)
    if proto3:
        status.value.add(name="BELOW", number=-1)
    return file


def files():
    changed = dict((name, (number, of)) for name, number, of in FIELDS)
    # fewer fields under other names, of types of the same wire type that hold less
    narrow = {"n": "int32?", "q": "sfixed64?", "s": "string?", "o1": "int32|", "x": "fixed32?"}
    old = [("ts", *changed["ts"])] + [("former_" + n, changed[n][0], of) for n, of in narrow.items()]
    return {
        "test": schema("test", FIELDS),
        "later": schema("later", FIELDS + EXTRA),
        "former": schema("former", old),
        "strict": schema("strict", FIELDS, False, ("ts", "z")),
    }


def pool():
    known = descriptor_pool.DescriptorPool()
    imports = []
    for module in (timestamp_pb2, wrappers_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        imports.append(file)
    for file in imports + list(files().values()):
        known.Add(file)
    read = descriptor_pb2.FileDescriptorSet(file=imports + [files()["test"], files()["strict"]])
    return known, read


KNOWN, SET = pool()


def of_type(name):
    return message_factory.GetMessageClass(KNOWN.FindMessageTypeByName(name))


def value(name, draw):
    whole = lambda bits: draw.choice([0, 1, -1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), draw.randrange(2 ** (bits - 2))])
    text = "".join(draw.choice("abcXYZ 0189_äß€𝄞\n\"") for _ in range(draw.choice([0, 3, 12, 200])))
    number = decimal.Decimal(draw.randrange(-(10**19), 10**19)).scaleb(-4, decimal.Context(prec=60))
    return {
        "ts": lambda: draw.randrange(4 * 10**12) * 10**6,
        "tz": lambda: draw.choice([0, -1, draw.randrange(-(10**18), 4 * 10**18)]),
        "n": lambda: whole(64),
        "u": lambda: draw.choice([0, 2**64 - 1, 2**63, draw.randrange(2**64)]),
        "i": lambda: whole(32),
        "x": lambda: draw.choice([0, 2**32 - 1, draw.randrange(2**32)]),
        "q": lambda: whole(64),
        "b": lambda: draw.random() < 0.5,
        "f": lambda: draw.choice([0.0, -0.0, -1.5, 2.0**40, float("inf"), draw.randrange(2**20) / 64]),
        "g": lambda: draw.choice([0.0, -1.5, draw.randrange(2**20) / 64]),
        "s": lambda: text,
        "y": lambda: draw.randbytes(draw.choice([0, 5, 130])),
        "d": lambda: number,
        "day": lambda: DAY + datetime.timedelta(days=draw.randrange(-20000, 80000)),
        "e": lambda: draw.choice(["NONE", "UP", "DOWN"]),
        "k": lambda: draw.choice([0, 1, 2]),
        "w": lambda: whole(64),
        "t": lambda: text,
        "o1": lambda: whole(64),
        "o2": lambda: text,
        "z": lambda: whole(64),
        "city.name": lambda: text,
        "city.zip": lambda: whole(32),
    }[name]()


def set_time(into, nanos):
    into.seconds, into.nanos = nanos // 10**9, nanos % 10**9


def fill(into, row, called=lambda name: name):
    for name, v in row.items():
        if v is None or not hasattr(into, called(name).split(".")[0]):
            continue
        if name in ("ts", "tz"):
            set_time(getattr(into, name), v)
            # zero is there too
            getattr(into, name).SetInParent()
        elif name in ("w", "t"):
            getattr(into, name).SetInParent()
            getattr(into, name).value = v
        elif name.startswith("city."):
            into.city.SetInParent()
            setattr(into.city, name[5:], v)
        elif name == "e":
            into.e = {"NONE": 0, "UP": 1, "DOWN": 2}[v]
        elif name in ("d", "day"):
            setattr(into, name, str(v) if name == "day" else format(v, "f"))
        else:
            setattr(into, called(name), v)


def text(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return str(int(value.scaleb(4, decimal.Context(prec=60))))
    if isinstance(value, datetime.date):
        return str((value - DAY).days)
    if isinstance(value, float):
        return value.hex()
    return str(value)


def read_row(found):
    row = []
    for name in NAMES:
        head = name.split(".")[0]
        if name != "z" and not found.HasField(head):
            row.append(None)
            continue
        v = getattr(found, head)
        if name in ("ts", "tz"):
            v = v.seconds * 10**9 + v.nanos
        elif name in ("w", "t"):
            v = v.value
        elif name == "city.name":
            v = v.name if v.HasField("name") else None
        elif name == "city.zip":
            v = v.zip
        elif name == "e":
            v = found.DESCRIPTOR.fields_by_name["e"].enum_type.values_by_number[v].name
        elif name == "d":
            v = decimal.Decimal(v)
        elif name == "day":
            v = datetime.date.fromisoformat(v)
        row.append(text(v))
    return row


def row_of(draw):
    row = {n: None if n not in ("ts", "z") and draw.random() < 0.25 else value(n, draw) for n in NAMES}
    if draw.random() < 0.3:
        row["city.name"] = row["city.zip"] = None
    elif row["city.zip"] is None:
        # a field without `optional` is zero where its message is
        row["city.zip"] = 0
    row[draw.choice(["o1", "o2"])] = None
    return row


def add_extra(into, draw):
    into.tags.extend(["a", ""])
    into.counts.extend([draw.randrange(1000) for _ in range(3)])
    into.more.add(name="x", zip=3)
    into.far.n = 5
    into.note = "later"
    if draw.random() < 0.2:
        into.o3 = b"another"


def write(seed, rows):
    draw, messages = random.Random(seed), []
    for _ in range(rows):
        which, row = draw.choice(["test", "test", "later", "former"]), row_of(draw)
        made = of_type(which + ".Payment")()
        if which == "former":
            kept = ("ts", "n", "q", "s", "o1", "x")
            row = {n: row[n] if n in kept else None for n in NAMES}
            for name in ("n", "o1"):
                row[name] = row[name] and row[name] % 2**31
            row["z"] = 0
            fill(made, row, lambda name: name if name == "ts" else "former_" + name)
        else:
            fill(made, row)
        given = made.SerializeToString()
        if which == "later":
            # a field of the same oneof that the reader does not know does not take its own away
            add_extra(made, draw)
            if made.WhichOneof("either") == "o3":
                row["o1"] = row["o2"] = None
            given = made.SerializeToString()
        if draw.random() < 0.2:
            # in two parts, of which the second counts; what they have in common is merged
            first = of_type("test.Payment")()
            first.n, first.s = 7, "first"
            first.city.name = "first"
            row["n"] = 7 if row["n"] is None else row["n"]
            row["s"] = "first" if row["s"] is None else row["s"]
            row["city.name"] = "first" if row["city.name"] is None else row["city.name"]
            row["city.zip"] = row["city.zip"] or 0
            given = first.SerializeToString() + given
        messages.append({"hex": given.hex(), "row": [text(row[n]) for n in NAMES]})
    return {"set": SET.SerializeToString().hex(), "messages": messages}


def read(asked):
    kind, rows = of_type(asked["message"]), []
    for message in asked["hex"]:
        rows.append(read_row(kind.FromString(bytes.fromhex(message))))
    return rows


if sys.argv[1] == "write":
    json.dump(write(int(sys.argv[2]), int(sys.argv[3])), sys.stdout)
else:
    json.dump(read(json.load(sys.stdin)), sys.stdout)

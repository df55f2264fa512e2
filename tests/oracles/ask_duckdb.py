#!/usr/bin/env python3
"""Answers queries with DuckDB, many in one process.

Standard input: JSON, a list of {"tables": SQL statements, "queries": [SQL]}. Standard output: JSON, a list of lists; the
answer of a query is its rows as text, fields joined by `|`, or {"error": text}.
"""

import json
import sys

import duckdb


def text(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def answer(connection, query):
    try:
        rows = connection.execute(query).fetchall()
    except duckdb.Error as e:
        return {"error": str(e)}
    return sorted("|".join(text(v) for v in row) for row in rows)


def answers(case):
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(case["tables"])
        return [answer(connection, query) for query in case["queries"]]


json.dump([answers(case) for case in json.load(sys.stdin)], sys.stdout)

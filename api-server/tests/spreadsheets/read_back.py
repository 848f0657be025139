"""Reads plain.csv and marked.csv by Python's csv module, and compares the cells with facts.json."""

import csv
import json

facts = json.load(open("facts.json", encoding="utf-8"))
for name, encoding in [("plain.csv", "utf-8"), ("marked.csv", "utf-8-sig")]:
    with open(name, newline="", encoding=encoding) as file:
        rows = list(csv.DictReader(file, strict=True))
    cells = [[row[column] for column in ("title", "author", "journal", "arxiv_id")] for row in rows]
    assert sorted(cells) == sorted(facts), (name, cells, facts)

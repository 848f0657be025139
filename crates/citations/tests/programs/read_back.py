"""Reads papers.bib and papers.ris in the working directory, and compares each paper with facts.json."""

import codecs
import json
import re
import sys

import bibtexparser
import latexcodec  # noqa: F401 (registers the codec)
import pybtex.database
import rispy

FACTS = {facts["key"]: facts for facts in json.load(open("facts.json", encoding="utf-8"))}
FAILURES = []

COMMANDS = {
    "dollar": "$",
    "textbackslash": "\\",
    "textbraceleft": "{",
    "textbraceright": "}",
    "textasciitilde": "~",
    "textasciicircum": "^",
}


def plain(tex):
    """TeX as text: what the crate escapes is itself, accents are letters, formulas stay, other braces are gone."""
    parts = re.split(r"((?<!\\)\$.*?(?<!\\)\$)", tex)
    for n in range(0, len(parts), 2):
        part = parts[n]
        part = re.sub(r"\\(text(?:backslash|brace\w+|ascii\w+))\{\}", lambda m: "\0" + m[1] + "\0", part)
        # What the codec does not know.
        part = re.sub(r"\\(?:it|bf) ", "", part).replace(r"\$", "\0dollar\0").replace(r"\"{\i}", r"\"i")
        part = codecs.decode(part, "ulatex") if "\\" in part else part
        part = part.replace("{", "").replace("}", "")
        parts[n] = re.sub("\0(\\w+)\0", lambda m: COMMANDS[m[1]], part)
    return "".join(parts)


def check(key, what, found, expected):
    if found != expected:
        FAILURES.append(f"{key}: {what} is {found!r}, not {expected!r}")


def without_braces(text):
    return text.replace("{", "").replace("}", "")


def of_bibtex(reader, key, kind, fields):
    """Compares what both parsers of BibTeX have read alike."""
    facts = FACTS[key]
    check(key, f"{reader} kind", kind, "article" if facts["is_article"] else "misc")
    title = plain(fields["title"])
    # A brace without a partner is printed; without TeX it is gone.
    title = title if r"\text" not in fields["title"] else without_braces(title)
    title = title.replace(r"\lbrace ", r"\{")
    expected = facts["title"] if r"\text" not in fields["title"] else without_braces(facts["title"])
    check(key, f"{reader} title", title, expected)
    if facts["is_article"]:
        check(key, f"{reader} journal", plain(fields["journal"]), facts["journal"])
        check(key, f"{reader} volume", fields["volume"], facts["volume"])
        check(key, f"{reader} number", fields.get("number", ""), facts["issue"])
        check(key, f"{reader} pages", fields.get("pages", "").replace("--", "-"), facts["pages"])
    else:
        check(key, f"{reader} note", plain(fields.get("note", "")), facts["note"])
    check(key, f"{reader} year", fields["year"], facts["year"])
    check(key, f"{reader} doi", fields.get("doi", ""), facts["doi"])
    check(key, f"{reader} eprint", fields["eprint"], facts["id"])
    check(key, f"{reader} url", fields["url"], "https://arxiv.org/abs/" + facts["id"])


def name(author):
    """The parts of an author in the order of BibTeX."""
    if "literal" in author:
        return ("", "", author["literal"], "")
    return (author["given"], author["particle"], author["family"], author["suffix"])


def pybtex_reads():
    database = pybtex.database.parse_file("papers.bib", bib_format="bibtex")
    check("pybtex", "keys", sorted(database.entries), sorted(FACTS))
    for key, entry in database.entries.items():
        of_bibtex("pybtex", key, entry.type, dict(entry.fields))
        names = [
            tuple(
                plain(" ".join(part))
                for part in (
                    person.first_names + person.middle_names,
                    person.prelast_names,
                    person.last_names,
                    person.lineage_names,
                )
            )
            for person in entry.persons["author"]
        ]
        check(key, "pybtex authors", names, [name(author) for author in FACTS[key]["authors"]])


def bibtexparser_reads():
    with open("papers.bib", encoding="utf-8") as file:
        database = bibtexparser.load(file, bibtexparser.bparser.BibTexParser(common_strings=True))
    check("bibtexparser", "keys", sorted(database.entries_dict), sorted(FACTS))
    for key, entry in database.entries_dict.items():
        of_bibtex("bibtexparser", key, entry["ENTRYTYPE"], entry)
        names = []
        for author in re.split(r"\s+and\s+(?![^{}]*\})", entry["author"]):
            parts = bibtexparser.customization.splitname(author)
            names.append(tuple(plain(" ".join(parts[part])) for part in ("first", "von", "last", "jr")))
        check(key, "bibtexparser authors", names, [name(author) for author in FACTS[key]["authors"]])


def rispy_reads():
    with open("papers.ris", encoding="utf-8") as file:
        records = rispy.load(file)
    check("rispy", "keys", sorted(record["id"] for record in records), sorted(FACTS))
    for record in records:
        key = record["id"]
        facts = FACTS[key]
        kind = "JOUR" if facts["is_article"] else "GEN" if facts["note"] else "UNPB"
        check(key, "RIS type", record["type_of_reference"], kind)
        authors = []
        for author in facts["authors"]:
            if "literal" in author:
                authors.append(author["literal"])
                continue
            family = f"{author['particle']} {author['family']}".strip()
            authors.append(", ".join(part for part in (family, author["given"], author["suffix"]) if part))
        check(key, "RIS authors", record["authors"], authors)
        check(key, "RIS title", record["title"], facts["title"])
        check(key, "RIS year", record["year"], facts["year"])
        check(key, "RIS DOI", record.get("doi", ""), facts["doi"])
        check(key, "RIS address", record["urls"], ["https://arxiv.org/abs/" + facts["id"]])
        check(key, "RIS keywords", record["keywords"], ["hep-ex", "math.CO"])
        if facts["is_article"]:
            check(key, "RIS journal", record["journal_name"], facts["journal"])
            check(key, "RIS title of the journal", record["secondary_title"], facts["journal"])
            check(key, "RIS volume", record["volume"], facts["volume"])
            pages = "-".join(part for part in (record.get("start_page"), record.get("end_page")) if part)
            check(key, "RIS pages", pages, facts["pages"])


pybtex_reads()
bibtexparser_reads()
rispy_reads()
for failure in FAILURES[:40]:
    print(failure)
sys.exit(f"{len(FAILURES)} differences" if FAILURES else 0)

"""Reads papers.xml in the working directory, by feedparser and by an XML parser, and compares each entry with facts.json."""

import json
import xml.etree.ElementTree as ElementTree

import feedparser

ATOM = "{http://www.w3.org/2005/Atom}"
ARXIV = "{http://arxiv.org/schemas/atom}"
FACTS = json.load(open("facts.json", encoding="utf-8"))

feed = feedparser.parse("papers.xml")
assert not feed.bozo, feed.bozo_exception
assert feed.version == "atom10", feed.version
assert (feed.feed.id, feed.feed.title, feed.feed.updated) == tuple(FACTS["feed"]), feed.feed
assert [(link.rel, link.href) for link in feed.feed.links] == [("next", "?after=x&format=atom")], feed.feed.links
root = ElementTree.parse("papers.xml").getroot()
elements = root.findall(ATOM + "entry")
assert len(feed.entries) == len(elements) == len(FACTS["papers"]), len(feed.entries)
assert len({entry.id for entry in feed.entries}) == len(elements), "identifiers are unique"

for entry, element, facts in zip(feed.entries, elements, FACTS["papers"]):
    texts = lambda path: [found.text or "" for found in element.findall(path)]
    found = {
        "id": entry.id,
        "title": entry.title,
        "updated": entry.updated,
        "published": entry.get("published"),
        "summary": entry.get("summary"),
        "authors": [author.get("name") for author in entry.get("authors", [])],
        "affiliations": texts(f"{ATOM}author/{ARXIV}affiliation"),
        "comment": entry.get("arxiv_comment"),
        "journal": entry.get("arxiv_journal_ref"),
        "doi": entry.get("arxiv_doi"),
        "primary": [category.get("term") for category in element.findall(ARXIV + "primary_category")],
        "categories": [tag.term for tag in entry.get("tags", [])],
        "links": [[link.rel, link.href] for link in entry.get("links", [])],
    }
    assert entry.updated_parsed, entry.updated
    for name, expected in facts.items():
        assert found[name] == expected, f"{facts['id']}: {name} is {found[name]!r}, not {expected!r}"
    # RFC 4287, 4.1.2: exactly one of each, and a page or a content.
    for name in ["id", "title", "updated"]:
        assert len(texts(ATOM + name)) == 1, name
    alternates = [link for link in element.findall(ATOM + "link") if link.get("rel") == "alternate"]
    assert len(alternates) + len(texts(ATOM + "content")) == 1, entry.id
    if "authors" in facts and not facts["authors"]:
        assert root.find(f"{ATOM}author/{ATOM}name").text, "the feed has an author"

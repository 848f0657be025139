"""Reads feed.atom and feed.rss as feed readers do, and compares what it finds with facts.json."""

import json

import feedparser

facts = json.load(open("facts.json", encoding="utf-8"))
for name, version in [("feed.atom", "atom10"), ("feed.rss", "rss20")]:
    feed = feedparser.parse(open(name, "rb").read(), sanitize_html=False)
    assert not feed.bozo, (name, feed.get("bozo_exception"))
    assert feed.version == version, feed.version
    assert feed.feed.title == facts["title"], feed.feed.title
    assert feed.feed.updated_parsed, name
    assert any(link.rel == "self" and link.href == facts["address"] for link in feed.feed.links), feed.feed.links
    assert len(feed.entries) == len(facts["items"]), name
    for entry, fact in zip(feed.entries, facts["items"]):
        assert entry.id == fact["id"], (name, entry.id)
        assert entry.link == fact["link"], (name, entry.link)
        assert entry.title == fact["title"], (name, entry.title)
        assert [tag.term for tag in entry.tags] == fact["categories"], (name, entry.tags)
        if version == "atom10":
            assert entry.summary == fact["abstract"], (name, entry.summary)
            assert [author.name for author in entry.authors] == fact["authors"], (name, entry.authors)
            assert entry.updated == fact["updated"] and entry.published == fact["published"], entry
            assert entry.get("arxiv_doi") == fact["doi"], entry.get("arxiv_doi")
            assert entry.get("arxiv_comment") == fact["comment"], entry.get("arxiv_comment")
            assert entry.arxiv_primary_category["term"] == fact["categories"][0], entry
        else:
            import html

            assert html.unescape(entry.summary) == fact["abstract"], (name, entry.summary)
            assert entry.published_parsed[:6] == tuple(fact["updated_fields"]), entry.published

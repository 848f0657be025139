"""Validates *.atom and *.rss by the schemas in the folder that is given, and by the rules that no schema has."""

import pathlib
import sys

import rnc2rng
from lxml import etree

ATOM = {"a": "http://www.w3.org/2005/Atom"}
schemas = pathlib.Path(sys.argv[1])


def schema(name):
    text = rnc2rng.dumps(rnc2rng.load(str(schemas / name)))
    # XML has no prefix for names without a namespace, and needs none here.
    return etree.RelaxNG(etree.fromstring(text.replace('xmlns:local=""', "").encode()))


def validate(schema, path):
    document = etree.parse(path)
    if not schema.validate(document):
        raise SystemExit(f"{path}: {schema.error_log}")
    return document


def check_atom(document, path):
    """The Schematron rules of RFC 4287, Appendix B, and what its section 4 requires in addition."""
    feed = document.getroot()
    has_author = bool(feed.xpath("a:author", namespaces=ATOM))
    ids = feed.xpath("a:entry/a:id/text()", namespaces=ATOM)
    assert len(ids) == len(set(ids)), f"{path}: {ids}"
    for entry in feed.xpath("a:entry", namespaces=ATOM):
        entry_id = entry.findtext("a:id", namespaces=ATOM)
        assert has_author or entry.xpath("a:author", namespaces=ATOM), f"{path}: {entry_id} has no author"
        pages = entry.xpath("a:link[not(@rel) or @rel='alternate']", namespaces=ATOM)
        assert pages or entry.xpath("a:content", namespaces=ATOM), f"{path}: {entry_id} has no page and no content"
        kinds = [(page.get("type"), page.get("hreflang")) for page in pages]
        assert len(kinds) == len(set(kinds)), f"{path}: {entry_id} has {kinds}"
        assert all(name.strip() for name in entry.xpath("a:author/a:name/text()", namespaces=ATOM)), entry_id
    assert len(feed.xpath("a:link[@rel='self']", namespaces=ATOM)) == 1, path
    for address in feed.xpath("//a:id/text()", namespaces=ATOM):
        assert ":" in address and not any(c.isspace() for c in address), f"{path}: {address!r}"


def check_rss(document, path):
    """Identifiers are unique, and the channel names its own address, as validators of feeds recommend."""
    ids = document.xpath("//item/guid/text()")
    assert len(ids) == len(set(ids)) == len(document.xpath("//item")), f"{path}: {ids}"
    assert len(document.xpath("//channel/a:link[@rel='self']", namespaces=ATOM)) == 1, path


def refuses(schema, document, old, new):
    """A schema that accepts everything would show nothing."""
    text = etree.tostring(document).decode()
    assert old in text, text
    assert not schema.validate(etree.fromstring(text.replace(old, new).encode())), new


atom, rss = schema("atom.rnc"), schema("rss.rnc")
paths = sorted(str(path) for path in pathlib.Path().iterdir() if path.suffix in (".atom", ".rss"))
assert len(paths) >= 6, paths
for path in paths:
    if path.endswith(".atom"):
        check_atom(validate(atom, path), path)
    else:
        check_rss(validate(rss, path), path)
usual = etree.parse("usual.atom")
refuses(atom, usual, "<updated>2024-05-03T06:00:00Z</updated>", "")
refuses(atom, usual, "2024-05-03T06:00:00Z", "3 May 2024")
refuses(atom, usual, "term=", "name=")
usual = etree.parse("usual.rss")
refuses(rss, usual, " 2024 ", " 24 ")
refuses(rss, usual, "https://example.org/</link>", "</link>")
refuses(rss, usual, "<generator>", "<producer/><generator>")

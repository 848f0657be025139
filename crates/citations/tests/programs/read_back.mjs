// Reads papers.bib, papers.ris and papers.json in the working directory, compares each paper with facts.json, and cites it
// in three styles.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_MODULES, "x.js"));
const { plugins, Cite } = require("@citation-js/core");
require("@citation-js/plugin-bibtex");
require("@citation-js/plugin-ris");
require("@citation-js/plugin-csl");
const CSL = require("citeproc");

const facts = new Map(JSON.parse(readFileSync("facts.json", "utf8")).map((paper) => [paper.key, paper]));
const failures = [];

function check(key, what, found, expected) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) failures.push(`${key}: ${what} is ${a}, not ${b}`);
}

// Parts of names: those of literals are in braces in BibTeX, and a family name in RIS.
function nameOf(author) {
  const family = author.literal ?? author.family;
  return [author.given ?? "", author["non-dropping-particle"] ?? author.particle ?? "", family, author.suffix ?? ""];
}

const letters = (text) => text.replace(/<[^>]*>/g, "").replace(/[^\p{L}]/gu, "");

function compare(reader, items) {
  check(reader, "keys", items.map((item) => item.id).sort(), [...facts.keys()].sort());
  for (const item of items) {
    const paper = facts.get(item.id);
    if (!paper) continue;
    const what = (name) => `${reader} ${name}`;
    const isJoined = reader === "RIS";
    const names = (authors) =>
      authors.map(nameOf).map(([given, particle, family, suffix]) =>
        // RIS has no particles.
        isJoined ? [given, `${particle} ${family}`.trim(), suffix] : [given, particle, family, suffix]);
    check(item.id, what("authors"), names(item.author), names(paper.authors));
    check(item.id, what("year"), String(item.issued["date-parts"][0][0]), paper.year);
    check(item.id, what("DOI"), item.DOI ?? "", paper.doi);
    if (reader === "CSL-JSON" || reader === "RIS") check(item.id, what("title"), item.title, paper.title);
    if (paper.is_article) {
      check(item.id, what("type"), item.type, "article-journal");
      check(item.id, what("journal"), item["container-title"], paper.journal);
      check(item.id, what("volume"), item.volume, paper.volume);
      check(item.id, what("pages"), (item.page ?? "").replace("--", "-"), paper.pages);
    }
  }
}

const csl = JSON.parse(readFileSync("papers.json", "utf8"));
compare("CSL-JSON", csl);
compare("BibTeX", new Cite(readFileSync("papers.bib", "utf8")).data.map((item) => ({ ...item, id: item.id ?? item["citation-key"] })));
compare("RIS", new Cite(readFileSync("papers.ris", "utf8")).data);

const { templates, locales } = plugins.config.get("@csl");
for (const style of ["apa", "vancouver", "harvard1"]) {
  const items = new Map(csl.map((item) => [item.id, item]));
  const engine = new CSL.Engine(
    { retrieveLocale: (name) => locales.data[name] ?? locales.get("en-US"), retrieveItem: (id) => items.get(id) },
    templates.get(style),
    "en-US",
  );
  engine.updateItems([...items.keys()]);
  const [about, entries] = engine.makeBibliography();
  check(style, "errors", about.bibliography_errors, []);
  check(style, "entries", entries.length, items.size);
  about.entry_ids.forEach(([id], n) => {
    const paper = facts.get(id);
    const [first] = paper.authors;
    const family = first.literal ?? first.family;
    const text = entries[n].replace(/<[^>]*>/g, "");
    if (!letters(text).toLowerCase().includes(letters(family).toLowerCase())) failures.push(`${style}: no ${family} in ${text}`);
    if (!text.includes(paper.year)) failures.push(`${style}: no ${paper.year} in ${text}`);
    if (paper.is_article && !letters(text).includes(letters(paper.journal))) failures.push(`${style}: no ${paper.journal} in ${text}`);
  });
}

for (const failure of failures.slice(0, 40)) console.log(failure);
if (failures.length > 0) {
  console.log(`${failures.length} differences`);
  process.exit(1);
}

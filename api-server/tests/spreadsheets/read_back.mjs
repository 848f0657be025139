// Reads marked.csv as a spreadsheet does, and compares the cells with facts.json: by the byte order mark it is read as UTF-8.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_MODULES, "x.js"));
const XLSX = require("xlsx");

function cells(name) {
  const book = XLSX.read(readFileSync(name), { type: "buffer", raw: true });
  const rows = XLSX.utils.sheet_to_json(book.Sheets[book.SheetNames[0]], { raw: false, defval: "" });
  return sorted(rows.map((row) => [row.title, row.author, row.journal, row.arxiv_id]));
}

const sorted = (rows) => JSON.stringify(rows.map((row) => JSON.stringify(row)).sort());
const facts = sorted(JSON.parse(readFileSync("facts.json", "utf8")));
if (cells("marked.csv") !== facts) throw new Error(`${cells("marked.csv")} is not ${facts}`);
if (cells("plain.csv") === facts) throw new Error("a spreadsheet that needs no mark is no test of it");

// The table of results: filter, pages by cursor, export.
import { ROWS, at, call, count, element, nextLink, showError } from "./api.js";
import { abstractOf, bibtexOf, titleOf, versionOf } from "./papers.js";

const filter = document.getElementById("filter");
const status = document.getElementById("results-status");
const errorBox = document.getElementById("results-error");
const body = document.querySelector("#results tbody");
const table = document.getElementById("results");
const region = document.getElementById("table-region");
const empty = document.getElementById("results-empty");
const previous = document.getElementById("previous");
const next = document.getElementById("next");
const pageNumber = document.getElementById("page-number");
const size = document.getElementById("size");
const scopeBox = document.getElementById("scope");
const scopeText = document.getElementById("scope-text");
/** Items of a feed that one file has: the newest ones. */
const MOST_ITEMS = 1000;

/** The one search whose results are shown, or the items of one feed (with their `path`), or null for all. */
let scope = null;
/** Addresses of the pages up to the one that is shown. */
let pages = [];
let following = null;
let loading = null;

function filters() {
  const values = {};
  for (const { name, value } of filter.querySelectorAll("input")) if (value.trim()) values[name] = value.trim();
  return values;
}

function first() {
  const wanted = filters();
  const params = { ...wanted, items_per_page: size.value };
  if (scope?.path) return at(scope.path, params);
  // The address of one search waits until what was just recorded can be read; the filter is that of all results.
  if (scope && !Object.keys(wanted).length) return at(`arxiv/${encodeURIComponent(scope.name)}/results`, params);
  return at("results", { ...params, query_id: scope?.query_id });
}

function exports() {
  for (const link of document.querySelectorAll(".export a")) {
    if (scope?.path) {
      link.href = at(scope.path, { items_per_page: MOST_ITEMS, format: link.dataset.format });
      continue;
    }
    // All of it, and not the page that is shown.
    const wanted = { ...filters(), query_id: scope?.query_id, all: true };
    link.href = at("results", { ...wanted, format: link.dataset.format });
  }
}

async function load(url, quiet) {
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  region.setAttribute("aria-busy", "true");
  if (!quiet) status.textContent = "Loading…";
  errorBox.hidden = true;
  try {
    const answer = await call(url, { signal, headers: { Accept: `${ROWS}, application/json;q=0.5` } });
    if (answer.status === 202) {
      show([], "This search has not ended yet.");
      following = null;
    } else {
      show(answer.body, "Nothing here matches.");
      following = nextLink(answer.headers, url);
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    show([], "");
    empty.hidden = true;
    status.textContent = "";
    following = null;
    showError(errorBox, error);
  }
  region.removeAttribute("aria-busy");
  previous.disabled = pages.length < 2;
  next.disabled = !following;
  pageNumber.textContent = `Page ${pages.length}`;
}

/** An item of a feed as a row of results. */
function rowOf({ position, paper }) {
  const author = paper.authors.map(({ name }) => name).join(", ");
  return { ...paper, arxiv_id: paper.id, author, journal: paper.journal ?? "", isNew: position > scope.newAfter };
}

const marks = ({ isNew }) => (isNew ? [element("span", { class: "chip", "data-phase": "Succeeded", text: "New" })] : []);

function show(found, nothing) {
  const papers = scope?.path ? found.map(rowOf) : found;
  const cell = (...content) => element("td", { role: "cell" }, ...content);
  body.replaceChildren(...papers.map((paper) =>
    element("tr", { role: "row" }, cell(...marks(paper), ...titleOf(paper), ...abstractOf(paper), ...bibtexOf(paper)), cell(paper.author), cell(paper.journal),
      cell(...versionOf(paper)))));
  table.hidden = papers.length === 0;
  const everything = !scope && !Object.keys(filters()).length && pages.length < 2;
  empty.textContent = everything && nothing ? "Nothing is recorded yet. Search for something above." : nothing;
  empty.hidden = papers.length > 0;
  const page = pages.length > 1 ? `, page ${pages.length}` : "";
  status.textContent = papers.length ? `${count(papers.length, "paper", "papers")} on this page${page}` : "";
}

function reload(quiet) {
  pages = [first()];
  exports();
  return load(pages[0], quiet);
}

function setScope(state, label) {
  scope = state;
  scopeBox.hidden = !state;
  scopeText.textContent = state ? `of ${label}` : "";
  // Items of a feed are not filtered.
  filter.hidden = Boolean(state?.path);
}

/** Shows the results of one search, or the items of one feed; with `focus`, the heading gets it. */
export function showOf(state, label, { focus = false } = {}) {
  filter.reset();
  setScope(state, label);
  reload();
  if (focus) {
    const heading = document.getElementById("results-heading");
    heading.focus({ preventScroll: true });
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    heading.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  }
}

/** Whether all results are shown from the start, with no filter. */
export const isUntouched = () => !scope && pages.length < 2 && !Object.keys(filters()).length;

export function start() {
  filter.addEventListener("submit", (event) => {
    event.preventDefault();
    reload();
  });
  filter.addEventListener("reset", () => setTimeout(reload));
  size.addEventListener("change", () => reload());
  document.getElementById("scope-clear").addEventListener("click", () => {
    setScope(null);
    reload();
    document.getElementById("results-heading").focus({ preventScroll: true });
  });
  next.addEventListener("click", async () => {
    if (!following) return;
    pages.push(following);
    await load(pages.at(-1));
    if (next.disabled) previous.focus();
  });
  previous.addEventListener("click", async () => {
    pages.pop();
    await load(pages.at(-1));
    if (previous.disabled) next.focus();
  });
  reload(true);
}

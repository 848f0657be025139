// Feeds: when each runs next, what is new by it since the last visit, and where to subscribe to it.
import { BIBTEX, at, call, count, element, showError } from "./api.js";
import { copyButton } from "./copy.js";

const list = document.getElementById("feeds");
const empty = document.getElementById("feeds-empty");
const errorBox = document.getElementById("feeds-error");
const news = document.getElementById("feeds-news");
const KEPT = "arxiv-feeds";
const REFRESH_MS = 60_000;
/** As many as one answer has. */
const MOST = 1000;
const FORMATS = [["Atom", "atom", "application/atom+xml"], ["RSS", "rss", "application/rss+xml"], ["JSON Feed", "json", "application/feed+json"]];

/** Identifier of a feed → how many of its items were there when they were last looked at: now, and before this visit. */
const seen = new Map(kept());
const before = new Map(seen);
const rows = new Map();
let show = () => {};

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? [];
  } catch {
    return [];
  }
}

function keep(id, items) {
  // Another tab may have looked at other feeds since.
  for (const [other, number] of kept()) seen.set(other, Math.max(number, seen.get(other) ?? 0));
  seen.set(id, items);
  try {
    localStorage.setItem(KEPT, JSON.stringify([...seen].slice(-MOST)));
  } catch {
    // Without storage everything is new on the next visit.
  }
}

const pathOf = (feed, end = "") => `feeds/${encodeURIComponent(feed.name)}${end}`;
const since = (feed, visits) => Math.max(0, feed.items - (visits.get(feed.id) ?? 0));

function time(text) {
  const date = new Date(text);
  const shown = date.toLocaleString("en", { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return element("time", { datetime: text, text: shown });
}

function nextRun(feed) {
  if (feed.suspended) return ["Suspended"];
  if (!feed.next_run) return ["No run is planned"];
  return [new Date(feed.next_run) < Date.now() ? "Due since " : "Next run ", time(feed.next_run)];
}

function lastRun({ last_run: run }) {
  if (!run) return ["has not run yet"];
  const found = run.new_items ? `${count(run.new_items, "new paper", "new papers")}` : "nothing new";
  return ["last run ", time(run.recorded_at), `: ${found}`, run.complete ? "" : ", and the next one goes on"];
}

function chipOf(feed) {
  const unread = since(feed, seen);
  if (!unread) return element("span", { class: "chip", text: feed.items ? "Read" : "Empty" });
  return element("span", { class: "chip", "data-phase": "Succeeded", text: `${unread.toLocaleString("en")} new` });
}

function subscription(feed) {
  const summary = element("summary", { text: "Subscribe", "aria-label": `Subscribe: ${feed.name}` });
  const items = FORMATS.map(([title, end]) => {
    const url = at(pathOf(feed, `.${end}`)).href;
    return element("li", {}, element("a", { href: url, text: title }), " ", element("code", { text: url }), " ",
      ...copyButton("Copy address", `Copy address of ${title}: ${feed.name}`, async () => url));
  });
  return element("details", {}, summary, element("ul", { class: "addresses" }, ...items));
}

function buttonsOf(feed) {
  const buttons = [];
  if (feed.items) {
    const button = element("button", { type: "button", class: "small", text: "Show papers", "aria-label": `Show papers: ${feed.name}` });
    button.addEventListener("click", () => open(feed.id));
    buttons.push(button);
  }
  const fresh = Math.min(since(feed, before), MOST);
  if (fresh) {
    const href = at(pathOf(feed), { format: "bibtex", items_per_page: fresh });
    const label = `BibTeX of what is new: ${feed.name}`;
    buttons.push(element("a", { class: "small", href, type: BIBTEX, download: `${feed.name}.bib`, text: "BibTeX of what is new", "aria-label": label }));
  }
  return buttons;
}

function open(id) {
  const { feed } = rows.get(id) ?? {};
  if (!feed) return;
  show({ path: pathOf(feed), newAfter: before.get(id) ?? 0 }, `feed ${feed.name}`);
  keep(id, feed.items);
  draw(feed);
}

function draw(feed) {
  const shown = JSON.stringify([feed, since(feed, seen), new Date(feed.next_run) < Date.now()]);
  let row = rows.get(feed.id);
  if (row?.shown === shown) return row.item;
  const when = element("p", { class: "note" }, ...nextRun(feed), " · ", ...lastRun(feed));
  const what = element("p", { class: "what", text: feed.name });
  const search = element("p", { class: "note", text: `${feed.search} · ${count(feed.items, "paper", "papers")} so far` });
  const schedule = element("p", { class: "note", text: feed.schedule ? `Runs at ${feed.schedule} in ${feed.time_zone}` : "" });
  const text = element("div", { class: "text" }, what, search, when, schedule);
  const buttons = element("div", { class: "buttons" }, ...buttonsOf(feed));
  if (row) {
    // The subscription stays: it may be open, or have the focus.
    const label = row.item.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
    const [chip, former, pressed] = row.item.children;
    text.append(former.querySelector("details"));
    chip.replaceWith(chipOf(feed));
    former.replaceWith(text);
    pressed.replaceWith(buttons);
    if (label) row.item.querySelector(`[aria-label="${CSS.escape(label)}"]`)?.focus();
  } else {
    text.append(subscription(feed));
    row = { item: element("li", { "data-name": feed.name }, chipOf(feed), text, buttons) };
    rows.set(feed.id, row);
  }
  row.feed = feed;
  row.shown = shown;
  return row.item;
}

/** Readers of feeds, and browsers with one, find what a page offers by these. */
function offer(feeds) {
  document.querySelectorAll("link[data-feed]").forEach((link) => link.remove());
  const links = feeds.flatMap((feed) => FORMATS.map(([title, end, type]) =>
    element("link", { rel: "alternate", type, href: at(pathOf(feed, `.${end}`)), title: `${feed.name} (${title})`, "data-feed": feed.name })));
  document.head.append(...links);
}

async function load() {
  let feeds;
  try {
    feeds = (await call(at("feeds", { items_per_page: MOST }))).body;
  } catch (error) {
    showError(errorBox, error);
    return;
  }
  errorBox.hidden = true;
  const ids = new Set(feeds.map((feed) => feed.id));
  for (const [id, { item }] of rows) {
    if (ids.has(id)) continue;
    item.remove();
    rows.delete(id);
  }
  const added = feeds.filter((feed) => rows.get(feed.id)?.feed.items < feed.items);
  if (added.length) news.textContent = added.map((feed) => `${feed.name}: ${count(since(feed, seen), "new paper", "new papers")}`).join(". ");
  feeds.forEach((feed, index) => {
    const item = draw(feed);
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  empty.hidden = feeds.length > 0;
  offer(feeds);
}

/** Starts the list; `given(items, label)` shows the items of a feed: those with a higher position than `newAfter` are new. */
export function start(given) {
  show = given;
  load();
  const look = () => {
    if (document.visibilityState === "visible") load();
  };
  document.addEventListener("visibilitychange", look);
  setInterval(look, REFRESH_MS);
}

// The list of searches, kept live by server-sent events.
import { at, call, count, element } from "./api.js";
import { describe } from "./form.js";

const list = document.getElementById("queries");
const empty = document.getElementById("queries-empty");
const live = document.getElementById("live");
const liveText = document.getElementById("live-text");
const news = document.getElementById("queries-news");
const KEPT = "arxiv-searches";
const MOST_ENDED = 20;
const POLL_MS = 3000;
const RECONNECT_MS = 15000;

/** name → state, of everything that is shown. */
const states = new Map();
/** name → label, of what was asked for in this tab. */
const own = new Map(kept());
/** name → the higher, the later it ended, as the service listed them; times have whole seconds only. */
const ranks = new Map();
let lastRank = 0;
let handlers = { show() {}, ended() {} };

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
  } catch {
    return [];
  }
}

function keep() {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify([...own].slice(-50)));
  } catch {
    // Without storage the list is forgotten when the tab is.
  }
}

const PHASES = { Pending: "Waiting", Running: "Running", Suspended: "Suspended", Succeeded: "Done", Failed: "Failed" };
const isEnded = (state) => state.phase === "Succeeded" || state.phase === "Failed";

function labelOf(state) {
  const search = state.search && describe(state.search);
  const asked = /search_query=([^&]*)/.exec(state.query ?? "")?.[1];
  return search || own.get(state.name) || asked || state.name;
}

function noteOf(state) {
  if (state.phase === "Succeeded") {
    const found = state.num_results ?? 0;
    if (!found) return "arXiv found nothing";
    const number = state.query_id == null ? "" : ` · number ${state.query_id}`;
    return `${count(state.num_entries ?? 0, "paper", "papers")} of ${found.toLocaleString("en")} found${number}`;
  }
  if (state.phase === "Failed") return state.message ?? "It failed.";
  const queue = state.queue;
  if (queue?.place != null) {
    const seconds = Math.round(queue.expected_seconds ?? 0);
    const place = queue.place === 1 ? "Next in the queue" : `Place ${queue.place} in the queue`;
    return seconds > 1 ? `${place} · at least ${duration(seconds)}` : place;
  }
  return state.message ?? (state.phase === "Running" ? "Asking arXiv" : "Waiting for its turn");
}

function duration(seconds) {
  return seconds < 90 ? count(seconds, "second", "seconds") : count(Math.round(seconds / 60), "minute", "minutes");
}

function button(text, label, act) {
  const made = element("button", { type: "button", class: "small", text, "aria-label": `${text}: ${label}` });
  made.addEventListener("click", act);
  return made;
}

function buttonsOf(state) {
  const label = labelOf(state);
  if (state.phase === "Succeeded" && state.num_entries) {
    return [button("Show results", label, () => handlers.show(states.get(state.name) ?? state, label))];
  }
  if (!isEnded(state) && own.has(state.name)) return [button("Cancel", label, (event) => cancel(state.name, event.target))];
  return [];
}

async function cancel(name, pressed) {
  pressed.disabled = true;
  try {
    await call(at(`arxiv/${encodeURIComponent(name)}`), { method: "DELETE" });
  } catch (error) {
    if (error.status !== 404) {
      pressed.disabled = false;
      news.textContent = `It cannot be cancelled: ${error.message}`;
      return;
    }
  }
  own.delete(name);
  states.delete(name);
  keep();
  news.textContent = "The search is cancelled.";
  render();
  document.getElementById("author").focus();
}

/** Takes a state in; announces once that a search of this tab has ended. */
function take(state) {
  const before = states.get(state.name);
  states.set(state.name, state);
  if (own.has(state.name) && before && !isEnded(before) && isEnded(state)) {
    news.textContent = `${labelOf(state)}: ${state.phase === "Failed" ? "failed. " : ""}${noteOf(state)}`;
    handlers.ended(state, labelOf(state));
  }
}

const rows = new Map();

function rowOf(state) {
  const shown = JSON.stringify([state.phase, labelOf(state), noteOf(state), own.has(state.name)]);
  let row = rows.get(state.name);
  if (row?.shown === shown) return row.item;
  const text = element("div", { class: "text" },
    element("p", { class: "what", text: labelOf(state) }),
    element("p", { class: state.phase === "Failed" ? "note bad" : "note", text: noteOf(state) }));
  const chip = element("span", { class: "chip", "data-phase": state.phase, text: PHASES[state.phase] ?? state.phase });
  const buttons = element("div", { class: "buttons" }, ...buttonsOf(state));
  if (row) {
    const focused = row.item.contains(document.activeElement);
    row.item.replaceChildren(chip, text, buttons);
    if (focused) buttons.querySelector("button")?.focus();
  } else {
    row = { item: element("li", { "data-name": state.name }, chip, text, buttons) };
    rows.set(state.name, row);
  }
  row.shown = shown;
  return row.item;
}

/** Of two that have ended, the later one first. What the service did not tell about (its end is long ago) is in the order of its numbers. */
function newestFirst(a, b) {
  const asked = [...own.keys()];
  const keys = (state) => [state.finished ?? state.created ?? "", ranks.get(state.name) ?? 0, state.query_id ?? 0, asked.indexOf(state.name)];
  const [of, other] = [keys(a), keys(b)];
  const differs = of.findIndex((key, index) => key !== other[index]);
  if (differs < 0) return 0;
  return of[differs] < other[differs] ? 1 : -1;
}

function render() {
  const all = [...states.values()];
  const place = (state) => (state.phase === "Running" ? 0 : state.queue?.place ?? 1e9);
  const open = all.filter((state) => !isEnded(state)).sort((a, b) => place(a) - place(b));
  const ended = all.filter(isEnded).sort(newestFirst).slice(0, MOST_ENDED);
  const wanted = [...open, ...ended];
  const names = new Set(wanted.map((state) => state.name));
  for (const [name, { item }] of rows) {
    if (!names.has(name)) {
      item.remove();
      rows.delete(name);
      ranks.delete(name);
    }
  }
  wanted.forEach((state, index) => {
    const item = rowOf(state);
    // Only elements at another place are moved: an element that is moved loses the focus.
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  empty.hidden = wanted.length > 0;
}

/** One event of the stream: everything unfinished, and what ended lately. */
function takeAll({ queries, ended }) {
  const listed = new Set([...queries, ...ended].map((state) => state.name));
  // They are listed newest first.
  for (const { name } of ended.toReversed()) ranks.set(name, (lastRank += 1));
  for (const state of [...ended, ...queries]) take(state);
  for (const state of [...states.values()]) {
    if (listed.has(state.name) || isEnded(state)) continue;
    // Of another process, or removed: asked for once if it is ours.
    if (own.has(state.name)) look(state.name);
    else states.delete(state.name);
  }
  render();
}

async function look(name) {
  try {
    const { body } = await call(at(`arxiv/${encodeURIComponent(name)}`));
    take(body);
  } catch (error) {
    if (error.status === 404) {
      states.delete(name);
      own.delete(name);
      keep();
    }
  }
  render();
}

function connection(state, text) {
  if (live.dataset.state === state) return;
  live.dataset.state = state;
  liveText.textContent = text;
}

function follow() {
  const source = new EventSource(at("arxiv", { state: "unfinished" }));
  source.addEventListener("open", () => connection("live", "Live"));
  source.addEventListener("queries", (event) => takeAll(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    connection("unavailable", "Reconnecting…");
    if (source.readyState !== EventSource.CLOSED) return;
    // The browser has given up (too many streams, or a proxy that knows none).
    setTimeout(follow, RECONNECT_MS);
  });
  window.addEventListener("pagehide", () => source.close(), { once: true });
}

/** Takes in a search that was just accepted. */
export function add(state, label) {
  own.set(state.name, label);
  keep();
  take(state);
  render();
}

/** Starts the list; `show(state, label)` is called for results, `ended(state, label)` when one of ours is over. */
export function start(given) {
  handlers = given;
  render();
  for (const name of own.keys()) look(name);
  follow();
  // While there is no stream, what was asked for here is looked at one by one.
  setInterval(() => {
    if (live.dataset.state === "live") return;
    for (const name of own.keys()) if (!states.has(name) || !isEnded(states.get(name))) look(name);
  }, POLL_MS);
}

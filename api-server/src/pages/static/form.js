// The form of a new search. It is sent as JSON, which a form of another site cannot do.
import { Refused, at, call, count, showError, titleOf } from "./api.js";

const form = document.getElementById("search");
/** The names of the inputs of a kind; the server makes the inputs. */
const namesOf = (kind) => Array.from(form.querySelectorAll(`[data-kind=${kind}]`), (input) => input.name);
const status = document.getElementById("search-status");
const errorBox = document.getElementById("search-error");
const submit = form.querySelector("[type=submit]");

/** The identifiers in a text, which may have spaces themselves: `arXiv:2401.01234v2 [cs.LG]`, `doi: 10.48550/…`. */
function idsIn(text) {
  const begins = /[,;]|(?<!:|\barxiv|\bpreprint)\s+(?=\S*(?:\d{4}\.\d{4}|\/\d{7})|(?:arxiv|doi|oai)\b)/i;
  return text.split(begins).map((id) => id.trim()).filter(Boolean);
}

/** What was typed, as POST /arxiv takes it; {} when nothing was. */
function read() {
  const search = {};
  const value = (name) => form.elements[name].value.trim();
  for (const name of namesOf("words")) if (value(name)) search[name] = value(name);
  for (const name of namesOf("identifiers")) {
    const ids = idsIn(value(name));
    if (ids.length) search[name] = ids;
  }
  for (const name of namesOf("date")) if (value(name)) search[name] = value(name);
  if (!Object.keys(search).length) return {};
  for (const name of ["sort_by", "sort_order"]) search[name] = value(name);
  // Only in this order is there a point from which on all are older.
  if (search.updated_after) [search.sort_by, search.sort_order] = ["LastUpdatedDate", "Descending"];
  const body = { search };
  if (value("max_results")) body.max_results = Number(value("max_results"));
  return body;
}

/** A search in a line, for people. */
export function describe(search) {
  const shown = Object.entries(search).filter(([name, value]) => value != null && value !== ""
    && !["sort_by", "sort_order"].includes(name));
  return shown.map(([name, value]) => `${titleOf(name)}: ${[].concat(value).join(", ")}`).join(" · ");
}

// The same content asked for again gets the same key until there is an answer: a lost answer makes no second search.
let pending = { text: "", key: "" };

function keyOf(body) {
  const text = JSON.stringify(body);
  if (pending.text !== text) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    pending = { text, key: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  return pending.key;
}

function complain(error) {
  for (const { field } of error.problems ?? []) {
    const input = form.elements[field];
    if (!input) continue;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-errormessage", "search-error");
    if (input.closest("details")) input.closest("details").open = true;
  }
  showError(errorBox, error);
  (form.querySelector("[aria-invalid=true]") ?? errorBox).focus();
}

function forget() {
  errorBox.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-errormessage");
  }
}

/** Counts the seconds down that the service asks for, with the button off. */
function waitFor(seconds) {
  let left = Math.min(seconds, 600);
  submit.disabled = true;
  const tick = () => {
    if (left <= 0) {
      clearInterval(timer);
      submit.disabled = false;
      status.textContent = "You can try again now.";
      return;
    }
    // Read out once, not every second.
    status.setAttribute("aria-live", "off");
    status.textContent = `Try again in ${count(left, "second", "seconds")}.`;
    left -= 1;
  };
  const timer = setInterval(tick, 1000);
  tick();
}

/** Calls `made(state, label)` with each search that was accepted. */
export function start(made) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    forget();
    status.removeAttribute("aria-live");
    const body = read();
    if (!Object.keys(body).length) {
      complain(new Refused(422, "Nothing to search for", { problems: [{ field: "author", text: "fill in this or another field" }] }));
      return;
    }
    submit.disabled = true;
    status.textContent = "Sending…";
    try {
      const headers = { Prefer: "respond-async", "Idempotency-Key": keyOf(body) };
      const { body: state } = await call(at("arxiv"), { method: "POST", headers, json: body });
      pending = { text: "", key: "" };
      status.textContent = "Accepted. It is in the list below.";
      submit.disabled = false;
      made(state, describe(body.search));
    } catch (error) {
      status.textContent = "";
      submit.disabled = false;
      complain(error);
      if (error.retryAfter) waitFor(error.retryAfter);
    }
  });
  form.addEventListener("reset", () => {
    forget();
    status.textContent = "";
    form.elements.author.focus();
  });
}

// Calls of the API, and what its errors mean for people.

/** The form of results that has all of a paper, its number at arXiv too. */
export const ROWS = "application/x-ndjson";
/** The form of a paper for a bibliography. */
export const BIBTEX = "application/x-bibtex";

/** An address of the API, under whatever prefix this page is shown. */
export function at(path, params) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(params ?? {})) {
    if (value !== "" && value != null) url.searchParams.set(name, value);
  }
  return url;
}

/** An answer that is an error, or no answer at all (status 0). */
export class Refused extends Error {
  constructor(status, message, { retryAfter = 0, problems = [] } = {}) {
    super(message);
    this.status = status;
    /** Seconds until it is worth asking again; 0 when nobody said. */
    this.retryAfter = retryAfter;
    /** [{field, text}] of what is wrong with single fields. */
    this.problems = problems;
  }
}

/** The body of an answer: JSON, the rows of newline-delimited JSON, or BibTeX as text. */
function parsed(response, text) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith(BIBTEX)) return text;
  if (type.startsWith(ROWS)) return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return text ? JSON.parse(text) : null;
}

/** Sends a request; gives {status, body, headers} or throws Refused. */
export async function call(url, { method = "GET", headers = {}, json, signal } = {}) {
  const init = { method, headers: { Accept: "application/json", ...headers }, signal, credentials: "same-origin" };
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    init.headers["Content-Type"] = "application/json";
  }
  let response;
  let text;
  try {
    response = await fetch(url, init);
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The service cannot be reached. Is the network there?");
  }
  let body = null;
  try {
    body = parsed(response, text);
  } catch {
    throw new Refused(response.status, "The service gave an answer that cannot be read.");
  }
  if (response.ok) return { status: response.status, body, headers: response.headers };
  throw refused(response, body);
}

function refused(response, body) {
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  const detail = body?.detail;
  if (Array.isArray(detail)) {
    const problems = detail.map(({ loc = [], msg }) => ({
      // Of `["body", "search", "id_list", 2]`, the name of the input.
      field: loc.slice(1).findLast((step) => typeof step === "string") ?? "",
      text: String(msg ?? "").replace(/^Value error, /, ""),
    }));
    return new Refused(response.status, "Something in the form is not as it must be.", { problems });
  }
  const message = typeof detail === "string" ? detail : `The service answered with status ${response.status}.`;
  return new Refused(response.status, message, { retryAfter });
}

/** Where the Link header of an answer from `url` says that more is, or null. */
export function nextLink(headers, url) {
  for (const link of (headers.get("Link") ?? "").split(/,\s*(?=<)/)) {
    const found = /^\s*<([^>]*)>(.*)$/.exec(link);
    if (found && /;\s*rel="?next"?/i.test(found[2])) {
      const next = new URL(found[1], url);
      if (next.origin === location.origin) return next;
    }
  }
  return null;
}

/** An element with text and attributes; never HTML. */
export function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text != null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    if (value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** A field of the search form as people read it there. */
export function titleOf(name) {
  return document.querySelector(`#search label[for="${CSS.escape(name)}"]`)?.textContent ?? name;
}

/** Shows an error in its place; what only has to be waited for looks different. */
export function showError(box, error) {
  const waits = error.status === 429 || error.status === 503;
  box.classList.toggle("wait", waits);
  box.classList.toggle("error", !waits);
  const title = { 0: "No connection", 429: "Too much at once", 503: "Not available for a moment" }[error.status];
  const parts = [title ? element("strong", { text: title }) : "", error.message];
  if (error.problems?.length) {
    const items = error.problems.map(({ field, text }) =>
      element("li", { text: field ? `${titleOf(field)}: ${text}` : text }));
    parts.push(element("ul", {}, ...items));
  }
  box.replaceChildren(...parts);
  box.hidden = false;
}

export const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

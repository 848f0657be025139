// What the table shows of a paper: its title and abstract with their math, its places at arXiv, and its BibTeX to copy.
import { BIBTEX, at, call, element } from "./api.js";
import { copyButton } from "./copy.js";
import { withMath } from "./math.js";

const pathOf = (id) => id.split("/").map(encodeURIComponent).join("/");
const withoutVersion = (id) => id.replace(/v\d+$/, "");

/** Leads to the paper at arXiv, whatever its latest version is, where its number is known. */
export function titleOf({ title, arxiv_id: id }) {
  if (!id) return withMath(title ?? "");
  return [element("a", { href: `https://arxiv.org/abs/${pathOf(withoutVersion(id))}` }, ...withMath(title ?? ""))];
}

/** The abstract, collapsed, where it is known. */
export function abstractOf({ abstract, title }) {
  if (!abstract) return [];
  const summary = element("summary", { text: "Abstract", "aria-label": `Abstract: ${title}` });
  return [element("details", {}, summary, element("p", { class: "abstract" }, ...withMath(abstract)))];
}

/** The version that was found, and its PDF. */
export function versionOf({ arxiv_id: id, title }) {
  if (!id) return [];
  const version = /v\d+$/.exec(id)?.[0];
  const link = (kind, text) => element("a", { href: `https://arxiv.org/${kind}/${pathOf(id)}`, text, "aria-label": `${text}: ${title}` });
  return [...(version ? [link("abs", version), " "] : []), link("pdf", "PDF")];
}

/** Copies the paper as an entry of BibTeX, where its whole metadata is known. */
export function bibtexOf({ arxiv_id: id, authors, title }) {
  if (!id || !authors) return [];
  const address = at(`papers/${pathOf(withoutVersion(id))}`);
  return copyButton("Copy BibTeX", `Copy BibTeX: ${title}`, async () => (await call(address, { headers: { Accept: BIBTEX } })).body);
}

// Math in titles and abstracts as arXiv has it: TeX between dollar signs, \( \) or \[ \]. Rendered as MathML, which needs neither
// styles nor fonts.
import { element } from "./api.js";

// A dollar sign that opens has no space after it; one that closes has none before it, and no digit after it: $5 and $10 are prices.
const MATH = /(?<!\\)\$\$(.+?)\$\$|(?<!\\)\$(?=\S)((?:\\.|[^$\\])*?(?:\\.|[^$\\\s]))\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]/gs;
const LONGEST = 2000;
const OPTIONS = { output: "mathml", throwOnError: true, strict: "ignore", trust: false, maxExpand: 200, maxSize: 20 };

/** A text as nodes: what can be read as math is rendered, all else stays as it is. */
export function withMath(text) {
  const nodes = [];
  let end = 0;
  for (const found of String(text).matchAll(MATH)) {
    const math = rendered(found[1] ?? found[2] ?? found[3] ?? found[4]);
    if (!math) continue;
    nodes.push(text.slice(end, found.index), math);
    end = found.index + found[0].length;
  }
  return [...nodes, text.slice(end)];
}

function rendered(tex) {
  if (!globalThis.katex || tex.length > LONGEST) return null;
  const math = element("span", { class: "math" });
  try {
    globalThis.katex.render(tex, math, OPTIONS);
  } catch {
    return null;
  }
  return math;
}

// The search page: the main job by mouse and by keyboard, filter, pages, export, what is wrong, and who else may use it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { LIMIT, base, launch, open, picture, violations } from "./browser.mjs";

let chrome;
before(async () => { chrome = await launch(); });
after(() => chrome.close());

const quiet = { elsewhere: [], complaints: [] };
const row = (page, text) => page.locator("#queries > li", { hasText: text });
const titles = (page) => page.locator("#results tbody tr td:first-child");

/** Searches by mouse, and waits for the end. */
async function search(page, author, papers) {
  await page.getByLabel("Author").first().fill(author);
  await page.getByLabel("At most").fill(String(papers));
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await row(page, author).getByText("Done").waitFor();
}

test("a search by mouse", async () => {
  const { page, context, noted } = await open(chrome.browser, "/");
  await search(page, "mouse", 30);
  await row(page, "mouse").getByRole("button", { name: /^Show results/ }).click();
  await page.locator("#scope-text", { hasText: "of Author: mouse" }).waitFor();
  await titles(page).nth(24).waitFor();
  assert.match(await titles(page).first().textContent(), /Result 0 of a study/);
  const paper = await titles(page).first().getByRole("link").getAttribute("href");
  assert.match(paper, /^https:\/\/arxiv\.org\/abs\/\d{4}\.\d{5}$/, "to the paper, without its version");
  assert.equal(await page.evaluate(() => document.activeElement.id), "results-heading");

  // Pages by cursor, forth and back.
  assert.equal(await page.getByRole("button", { name: "Previous" }).isDisabled(), true);
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText("Page 2", { exact: true }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll("#results tbody tr").length === 5);
  await page.getByRole("button", { name: "Previous" }).click();
  await page.waitForFunction(() => document.querySelectorAll("#results tbody tr").length === 25);

  await page.getByRole("button", { name: "Show all" }).click();
  await page.locator("#scope").waitFor({ state: "hidden" });
  assert.deepEqual(noted, quiet);
  await context.close();
});

test("a search by keyboard alone", async () => {
  const { page, context, noted } = await open(chrome.browser, "/");
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to results");
  // To the first field, past the links of the head.
  while ((await focused()) !== "author") await page.keyboard.press("Tab");
  await page.keyboard.type("keyboard");
  await page.keyboard.press("Enter");
  await row(page, "keyboard").getByText("Done").waitFor();
  // To its button, and with the space bar to its results.
  for (let i = 0; i < 60; i += 1) {
    await page.keyboard.press("Tab");
    const label = await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? "");
    if (label === "Show results: Author: keyboard") break;
  }
  await page.keyboard.press("Space");
  await page.locator("#scope-text", { hasText: "keyboard" }).waitFor();
  assert.equal(await focused(), "results-heading");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid", "the focus is seen");
  assert.deepEqual(noted, quiet);
  await context.close();
});

test("what waits is live, with its place in the queue, in every open page", async () => {
  const one = await open(chrome.browser, "/");
  const other = await open(chrome.browser, "/");
  await other.page.getByText("Live", { exact: true }).waitFor();
  await fetch(process.env.ARXIV_CONTROL, { method: "POST", body: JSON.stringify({ mode: "slow" }) });
  try {
    for (const author of ["first", "second", "third"]) {
      await one.page.getByLabel("Author").first().fill(author);
      await one.page.getByRole("button", { name: "Search", exact: true }).click();
      await row(one.page, author).waitFor();
    }
    await row(other.page, "third").getByText(/Place \d+ in the queue|Next in the queue/).waitFor();
    await picture(other.page, "waiting");
    await row(one.page, "third").getByRole("button", { name: /^Cancel/ }).click();
    await row(one.page, "third").waitFor({ state: "detached" });
    await row(other.page, "third").waitFor({ state: "detached" });
  } finally {
    await fetch(process.env.ARXIV_CONTROL, { method: "POST", body: JSON.stringify({ mode: "ok" }) });
  }
  await row(other.page, "second").getByText("Done").waitFor();
  assert.deepEqual([one.noted, other.noted], [quiet, quiet]);
  await one.context.close();
  await other.context.close();
});

test("a paper has its math rendered without the internet, its abstract, version and PDF", async () => {
  const { page, context, noted } = await open(chrome.browser, "/");
  const papers = [
    { author: "A", title: "On $O(n^2)$ and $\\alpha_{s}$ for $5 and $10 <b>bold</b> \\(\\frac{a}{b}\\)", journal: "", arxiv_id: "2401.01234v2", abstract: "We show $x^2$ <i>and</i> more." },
    { author: "B", title: "A $\\nonsense{x}$ and $ 5 $", journal: "", arxiv_id: "hep-th/9901001v1" },
    { author: "C", title: "Of a client", journal: "" },
  ];
  const body = papers.map((paper) => JSON.stringify(paper)).join("\n");
  await page.route("**/results?*", (route) => route.fulfill({ status: 200, headers: { "Content-Type": "application/x-ndjson" }, body }));
  await page.getByRole("search", { name: "Filter results" }).getByRole("button", { name: "Filter" }).first().click();
  await titles(page).nth(2).waitFor();
  const math = titles(page).first().getByRole("link").locator("math");
  assert.equal(await math.count(), 3);
  assert.equal(await math.first().locator("msup").count(), 1);
  assert.equal(await math.nth(2).locator("mfrac").count(), 1);
  const box = await math.nth(2).boundingBox();
  assert.ok(box.height > 10 && box.width > 3, "it is seen");
  const text = await titles(page).first().textContent();
  assert.ok(text.includes(" for $5 and $10 <b>bold</b> "), text);
  assert.equal(await titles(page).nth(1).getByRole("link").textContent(), papers[1].title, "what cannot be read stays as it is");
  const links = (row) => page.locator("#results tbody tr").nth(row).getByRole("link").evaluateAll((all) => all.map((link) => link.href));
  assert.deepEqual(await links(0), ["https://arxiv.org/abs/2401.01234", "https://arxiv.org/abs/2401.01234v2", "https://arxiv.org/pdf/2401.01234v2"]);
  assert.deepEqual(await links(1), ["https://arxiv.org/abs/hep-th/9901001", "https://arxiv.org/abs/hep-th/9901001v1", "https://arxiv.org/pdf/hep-th/9901001v1"]);
  assert.deepEqual(await links(2), []);
  assert.deepEqual(await violations(page), []);
  await picture(page, "math");

  // The abstract is collapsed.
  const abstract = titles(page).first().locator(".abstract");
  assert.equal(await abstract.isVisible(), false);
  await titles(page).first().getByText("Abstract").click();
  await abstract.getByText("We show").waitFor();
  assert.equal(await abstract.locator("math msup").count(), 1);
  assert.ok((await abstract.textContent()).endsWith(" <i>and</i> more."));
  assert.equal(await titles(page).nth(1).getByText("Abstract").count(), 0);
  assert.deepEqual(await violations(page), []);
  await picture(page, "abstract");
  assert.deepEqual(noted, quiet);
  await context.close();
});

test("a paper is copied as BibTeX, and shown where the browser has no clipboard", async () => {
  const { page, context, noted } = await open(chrome.browser, "/");
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await search(page, "bibtex", 2);
  await row(page, "bibtex").getByRole("button", { name: /^Show results/ }).click();
  await page.locator("#scope-text", { hasText: "of Author: bibtex" }).waitFor();
  const second = titles(page).nth(1);
  const id = (await second.getByRole("link").getAttribute("href")).split("/abs/")[1];
  await second.getByRole("button", { name: /^Copy BibTeX: / }).click();
  await second.getByText("Copied").waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^@(misc|article)\{/);
  assert.ok(copied.includes(`eprint = {${id}}`), copied);

  // As on a page without HTTPS.
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await second.getByRole("button", { name: /^Copy BibTeX: / }).click();
  await second.getByText("Copy what is selected").waitFor();
  assert.equal((await page.evaluate(() => getSelection().toString())).trim(), copied.trim());
  assert.deepEqual(await violations(page), []);
  await picture(page, "bibtex");

  // An error is shown.
  assert.deepEqual(noted, quiet);
  await page.route("**/papers/*", (route) => route.fulfill({ status: 404, json: { detail: "no search has found it" } }));
  await second.getByRole("button", { name: /^Copy BibTeX: / }).click();
  await second.getByText("no search has found it").waitFor();
  assert.equal(await second.locator(".copied").isVisible(), false);
  await context.close();
});

test("of searches that ended in one second, the newest is first", async () => {
  const { page, context } = await open(chrome.browser, "/");
  const state = (name, query_id, finished) => ({
    name, query_id, finished, phase: query_id ? "Succeeded" : "Failed", search: { author: name }, num_entries: 1, num_results: 1,
    created: "2024-03-31T00:00:00Z", queue: null,
  });
  const [second, next] = ["2024-03-31T00:00:05Z", "2024-03-31T00:00:06Z"];
  // As the service lists them: newest first. The failed ones have no number.
  const ended = [
    state("six", 6, next), state("five", null, next), state("four", 4, second), state("three", null, second), state("two", 2, second),
    state("one", 1, second),
  ];
  const event = (last) => `event: queries\ndata: ${JSON.stringify({ counts: {}, queries: [], ended: ended.slice(-last) })}\n\n`;
  let events = 0;
  await page.route("**/arxiv?state=unfinished", (route) => {
    events += 1;
    // First some of them, then all in one stream that grows.
    const body = `retry: 50\n${event(3)}${event(4)}${event(6)}`;
    return route.fulfill({ status: 200, headers: { "Content-Type": "text/event-stream" }, body });
  });
  await page.reload();
  await row(page, "six").waitFor();
  const names = () => page.locator("#queries > li").evaluateAll((items) => items.map((item) => item.dataset.name));
  assert.deepEqual(await names(), ["six", "five", "four", "three", "two", "one"]);
  // Also after the connection was made anew.
  const before = events;
  await page.waitForRequest("**/arxiv?state=unfinished");
  await page.waitForRequest("**/arxiv?state=unfinished");
  assert.ok(events > before);
  assert.deepEqual(await names(), ["six", "five", "four", "three", "two", "one"]);
  await context.close();
});

test("results are filtered, and what the filter matches is exported", async () => {
  const { page, context, noted } = await open(chrome.browser, "/");
  await search(page, "export", 30);
  const download = async (name) => {
    const downloading = page.waitForEvent("download");
    await page.getByRole("link", { name, exact: true }).click();
    return readFileSync(await (await downloading).path(), "utf8");
  };
  // More than a page shows, and more than a page has when nobody says how much.
  await row(page, "export").getByRole("button", { name: /^Show results/ }).click();
  await page.locator("#scope-text", { hasText: "of Author: export" }).waitFor();
  await titles(page).nth(24).waitFor();
  const lines = (text) => text.trimEnd().split("\n").length;
  assert.equal(lines(await download("CSV")), 31, "a line of names, and the papers");
  assert.equal(lines(await download("NDJSON")), 30);
  assert.equal((await download("BibTeX")).match(/^@/gm).length, 30);
  assert.equal(JSON.parse(await download("CSL-JSON")).length, 30);
  await page.getByRole("button", { name: "Show all" }).click();
  const filter = page.getByRole("search", { name: "Filter results" });
  await filter.getByLabel("Title").fill("arvizturo 3");
  await filter.getByRole("button", { name: "Filter" }).first().click();
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll("#results tbody tr td:first-child")];
    return rows.length > 0 && rows.every((cell) => cell.textContent.includes("Result 3 "));
  });
  await picture(page, "filter");
  for (const [name, start] of [["CSV", /author|title/], ["NDJSON", /^\{/], ["BibTeX", /^@/], ["CSL-JSON", /^\[/]]) {
    const text = await download(name);
    assert.match(text, start, name);
    assert.match(text, /Result 3 /, name);
    assert.doesNotMatch(text, /Result 4 /, name);
  }
  await filter.getByLabel("Title").fill("nothing has this word");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing here matches.").waitFor();
  assert.deepEqual(noted, quiet);
  await context.close();
});

test("what is wrong is told where it is wrong", async () => {
  const { page, context } = await open(chrome.browser, "/");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByRole("alert").getByText("Nothing to search for").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "author");
  await page.getByLabel("Author").first().fill("x");
  await page.getByLabel("At most").fill("99999");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByRole("alert").getByText(/At most: .*30000/).waitFor();
  assert.equal(await page.getByLabel("At most").getAttribute("aria-invalid"), "true");
  assert.deepEqual(await violations(page), []);
  await picture(page, "wrong");

  // Too much at once: it says so, and when to come again.
  await page.route("**/arxiv", (route) => route.fulfill({
    status: 429, headers: { "Retry-After": "2", "Content-Type": "application/json" }, body: '{"detail":"Too many wait"}',
  }));
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByText("Too much at once").waitFor();
  assert.equal(await page.getByRole("button", { name: "Search", exact: true }).isDisabled(), true);
  await picture(page, "too-much");
  await page.getByText("You can try again now.").waitFor();
  await page.unroute("**/arxiv");
  await page.route("**/arxiv", (route) => route.abort());
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await page.getByText("No connection").waitFor();
  await context.close();
});

test("identifiers are told apart also where they have spaces themselves", async () => {
  const { page, context } = await open(chrome.browser, "/");
  let sent;
  await page.route("**/arxiv", (route) => {
    sent = route.request().postDataJSON();
    return route.fulfill({ status: 422, headers: { "Content-Type": "application/json" }, body: '{"detail":"No"}' });
  });
  await page.getByText("More fields").click();
  for (const [typed, ids] of [
    ["2401.01234, hep-th/9901001v2 2401.01235;2401.01236", ["2401.01234", "hep-th/9901001v2", "2401.01235", "2401.01236"]],
    ["arXiv:2401.01234v2 [cs.LG] arXiv: 2401.01235 [cs.AI] 5 Jan 2024", ["arXiv:2401.01234v2 [cs.LG]", "arXiv: 2401.01235 [cs.AI] 5 Jan 2024"]],
    ["arXiv preprint arXiv:2401.01234, doi: 10.48550/arXiv.2401.01235", ["arXiv preprint arXiv:2401.01234", "doi: 10.48550/arXiv.2401.01235"]],
    ["https://arxiv.org/abs/2401.01234 arXiv 2401.01235", ["https://arxiv.org/abs/2401.01234", "arXiv 2401.01235"]],
  ]) {
    await page.getByLabel("arXiv ids").fill(typed);
    await page.getByRole("button", { name: "Search", exact: true }).click();
    await page.waitForFunction(() => !document.getElementById("search-error").hidden);
    assert.deepEqual(sent.search.id_list, ids, typed);
  }
  await context.close();
});

test("light and dark, wide and narrow, it is readable by everybody", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1200, 390]) {
      const { page, context, noted } = await open(chrome.browser, "/", { colorScheme, viewport: { width, height: 900 } });
      await titles(page).first().waitFor();
      await page.getByText("More fields").click();
      assert.deepEqual(await violations(page), [], `${colorScheme} ${width}`);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `nothing is cut off at ${width}`);
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(Number(/\d+/.exec(background)[0]) > 127, colorScheme === "light", background);
      await picture(page, `page-${colorScheme}-${width}`);
      assert.deepEqual(noted, quiet);
      await context.close();
    }
  }
});

test("another site cannot make a search", async () => {
  const evil = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end("<!doctype html><title>Elsewhere</title>");
  });
  await new Promise((resolve) => { evil.listen(0, "127.0.0.1", resolve); });
  const context = await chrome.browser.newContext();
  const page = await context.newPage();
  // Another host than the API's: another site to the browser.
  await page.goto(`http://localhost:${evil.address().port}/`);
  const count = async () => {
    const answer = await fetch(`${base}/arxiv?state=all&limit=500`);
    return (await answer.json()).filter((state) => JSON.stringify(state).includes("crosssite")).length;
  };
  await page.evaluate(async (url) => {
    const body = JSON.stringify({ author: "crosssite" });
    const tries = [
      fetch(url, { method: "POST", body, headers: { "Content-Type": "application/json" } }),
      fetch(url, { method: "POST", body, mode: "no-cors", headers: { "Content-Type": "text/plain" } }),
      fetch(url, { method: "POST", body: new URLSearchParams({ author: "crosssite" }), mode: "no-cors" }),
      fetch(`${url}?author=crosssite`, { mode: "no-cors" }),
    ];
    await Promise.allSettled(tries);
    const image = new Image();
    const gone = new Promise((resolve) => { image.onload = image.onerror = resolve; });
    image.src = `${url}?author=crosssite&x=1`;
    await gone;
  }, `${base}/arxiv`);
  const submitted = page.waitForNavigation({ timeout: LIMIT });
  await page.evaluate((url) => {
    const form = document.createElement("form");
    form.method = "post";
    form.enctype = "text/plain";
    form.action = url;
    const input = document.createElement("input");
    input.name = '{"author":"crosssite","x":"';
    input.value = '"}';
    form.append(input);
    document.body.append(form);
    form.submit();
  }, `${base}/arxiv`);
  await submitted;
  assert.equal(await count(), 0);
  await context.close();
  evil.close();
});

// Feeds on the search page: what is new since the last visit, subscription, bibliography; and their events in a browser.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { after, before, test } from "node:test";
import { LIMIT, base, launch, open, picture, violations } from "./browser.mjs";

let chrome;
before(async () => { chrome = await launch(); });
after(() => chrome.close());

const quiet = { elsewhere: [], complaints: [] };
const [FEED, QUIET] = process.env.FEEDS.split(",");
const row = (page, name) => page.locator(`#feeds > li[data-name="${name}"]`);
const titles = (page) => page.locator("#results tbody tr td:first-child");

/** Runs statements in the main database. */
function sql(text) {
  const { hostname, port, username, password, pathname } = new URL(process.env.DATABASE_ADMIN_URL);
  const env = { ...process.env, PGPASSWORD: decodeURIComponent(password), PSQLRC: "/dev/null" };
  execFileSync(process.env.PSQL, ["--host", hostname, "--port", port, "--username", username, "--dbname", pathname.slice(1),
    "--quiet", "--set", "ON_ERROR_STOP=1", "--command", text], { env });
}

/** Adds items to the feed, of new papers, as one run does. */
function add(first, last) {
  sql(`
    with papers as (
      insert into arxiv_papers (paper, version, title, authors, abstract, categories, published, updated, links, first_seen_at,
        changed_at, fetched_at, category_keys, words)
      select '2405.' || to_char(n, 'FM00000'), 1, 'On $x^' || n || '$ and sunflowers', '[{"name": "Paul Erdős"}, {"name": "Vera T. Sós"}]',
        'We show $\\alpha_{' || n || '}$ & more.', '{math.CO}', '2024-05-01Z', '2024-05-01Z', '[]', now(), now(), now(), '{math.CO}', ''
      from generate_series(${first}, ${last}) n returning paper, version
    ), items as (
      insert into arxiv_feed_items (feed_uid, position, seen_set, paper, version, run_uid, recorded_at)
      select '${FEED}', row_number() over (order by paper) + ${first} - 1, 1, paper, version, gen_random_uuid(), now() from papers
    )
    update arxiv_feeds set last_position = ${last}, last_run_at = now(), last_outcome = 'Complete', last_new_items = ${last - first + 1},
      last_complete_at = now() where feed_uid = '${FEED}'`);
}

before(() => {
  sql(`insert into arxiv_feeds (feed_uid, object_uid, namespace, name, title, search, initial_items, revisions, schedule, time_zone,
      is_suspended, next_run_at)
    select uid::uuid, uid::uuid, '${process.env.NAMESPACE}', name, title, 'h', 'Include', 'Include', '17 6 * * 1-5',
      'Europe/Budapest', is_suspended, now() + run
    from (values ('${FEED}', 'sunflowers', 'Abstract: sunflower', false, interval '2 hours'),
      ('${QUIET}', 'quiet', 'Author: <b>nobody</b>', true, null)) v (uid, name, title, is_suspended, run)`);
  add(1, 3);
});

/** Waits until the API, which reads from a replica, has so many items. */
async function replicated(items) {
  for (const end = Date.now() + LIMIT; Date.now() < end;) {
    const feeds = await (await fetch(`${base}/feeds`)).json();
    if (feeds.find(({ name }) => name === "sunflowers")?.items === items) return;
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  assert.fail(`there are no ${items} items`);
}

test("a feed tells what is new since the last visit, and its papers are shown", async () => {
  await replicated(3);
  const { page, context, noted } = await open(chrome.browser, "/");
  const feed = row(page, "sunflowers");
  await feed.getByText("3 new", { exact: true }).waitFor();
  await feed.getByText(/^Next run .*last run .*: 3 new papers/).waitFor();
  await feed.getByText("Runs at 17 6 * * 1-5 in Europe/Budapest").waitFor();
  await feed.getByText("Abstract: sunflower · 3 papers so far").waitFor();
  const other = row(page, "quiet");
  await other.getByText("Author: <b>nobody</b> · 0 papers so far").waitFor();
  await other.getByText("Suspended · has not run yet").waitFor();
  assert.equal(await other.getByRole("button", { name: /^Show papers/ }).count(), 0);

  // Those of the bibliography, too.
  const downloading = page.waitForEvent("download");
  await feed.getByRole("link", { name: "BibTeX of what is new: sunflowers" }).click();
  const bibtex = readFileSync(await (await downloading).path(), "utf8");
  assert.equal(bibtex.match(/^@/gm).length, 3);

  // By keyboard.
  await feed.getByRole("button", { name: "Show papers: sunflowers" }).focus();
  await page.keyboard.press("Enter");
  await page.locator("#scope-text", { hasText: "of feed sunflowers" }).waitFor();
  await titles(page).nth(3).waitFor({ state: "detached" });
  await titles(page).nth(2).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "results-heading");
  assert.equal(await titles(page).getByText("New", { exact: true }).count(), 3);
  assert.equal(await titles(page).first().locator("math msup").count(), 1);
  await titles(page).first().getByText("Abstract").click();
  await titles(page).first().locator(".abstract").getByText("We show").waitFor();
  const links = await page.locator("#results tbody tr").first().getByRole("link").evaluateAll((all) => all.map((link) => link.href));
  assert.deepEqual(links, ["https://arxiv.org/abs/2405.00003", "https://arxiv.org/abs/2405.00003v1", "https://arxiv.org/pdf/2405.00003v1"]);
  assert.equal(await page.getByRole("search", { name: "Filter results" }).isVisible(), false);
  await feed.getByText("Read", { exact: true }).waitFor();
  assert.deepEqual(await violations(page), []);
  await picture(page, "feed");

  // The next visit: what came since then is new.
  add(4, 5);
  await replicated(5);
  await page.reload();
  await feed.getByText("2 new", { exact: true }).waitFor();
  await feed.getByRole("button", { name: "Show papers: sunflowers" }).click();
  // In place of all results, of which there are more.
  await titles(page).nth(5).waitFor({ state: "detached" });
  await titles(page).nth(4).waitFor();
  assert.deepEqual(await titles(page).evaluateAll((all) => all.map((cell) => cell.textContent.startsWith("New"))), [true, true, false, false, false]);
  const exported = await page.getByRole("link", { name: "NDJSON", exact: true }).getAttribute("href");
  const lines = (await (await fetch(exported)).text()).trimEnd().split("\n");
  assert.equal(lines.length, 5);
  await page.getByRole("button", { name: "Show all" }).click();
  await page.getByRole("search", { name: "Filter results" }).waitFor();
  await page.reload();
  await feed.getByText("Read", { exact: true }).waitFor();
  assert.deepEqual(noted, quiet);
  await context.close();
});

test("a feed is subscribed to by its address, which browsers find as well", async () => {
  await replicated(5);
  const { page, context, noted } = await open(chrome.browser, "/");
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const feed = row(page, "sunflowers");
  await feed.getByText("Subscribe").click();
  await feed.getByRole("button", { name: "Copy address of Atom: sunflowers" }).click();
  await feed.getByText("Copied").waitFor();
  const address = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(address, `${base}/feeds/sunflowers.atom`);
  assert.match(await (await fetch(address)).text(), /<feed[^>]*>[^]*2405\.00005v1/);
  const offered = await page.locator('link[rel="alternate"]').evaluateAll((links) => links.map(({ href, type, title }) => [href, type, title]));
  assert.equal(offered.length, 6);
  const ofFeed = offered.filter(([, , title]) => title.startsWith("sunflowers"));
  for (const [href, type] of ofFeed) {
    const response = await fetch(href);
    assert.equal(response.headers.get("Content-Type"), type);
  }
  assert.deepEqual(await violations(page), []);
  await picture(page, "subscribe");
  // Without the right to the clipboard the address is selected.
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await feed.getByRole("button", { name: "Copy address of RSS: sunflowers" }).click();
  await feed.getByText("Copy what is selected").waitFor();
  assert.equal(await page.evaluate(() => getSelection().toString()), `${base}/feeds/sunflowers.rss`);
  assert.deepEqual(noted, quiet);
  await context.close();
});

test("events of a feed come once each to a browser, also those of the time when it was not connected", async () => {
  await replicated(5);
  const { hostname, port } = new URL(base);
  const sockets = new Set();
  const way = createServer((client) => {
    const server = connect(port, hostname);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
    client.pipe(server).pipe(client);
  });
  const listen = (at) => new Promise((resolve) => { way.listen(at, "127.0.0.1", resolve); });
  await listen(0);
  const { port: own } = way.address();
  const context = await chrome.browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${own}/`);
  await page.evaluate(() => {
    globalThis.got = [];
    globalThis.shown = [];
    const source = new EventSource("feeds/sunflowers/events");
    source.addEventListener("item", ({ data }) => {
      const { position, paper } = JSON.parse(data);
      globalThis.got.push(`${position} ${paper.id}`);
    });
    source.addEventListener("feed", ({ data }) => globalThis.shown.push(JSON.parse(data).items));
  });
  const wait = (condition) => page.waitForFunction(condition, null, { timeout: LIMIT });
  await wait(() => globalThis.shown.length === 1);
  add(6, 6);
  await wait(() => globalThis.shown.at(-1) === 6);
  const closed = new Promise((resolve) => { way.close(resolve); });
  for (const socket of sockets) socket.destroy();
  await closed;
  add(7, 9);
  await replicated(9);
  await listen(own);
  await wait(() => globalThis.shown.at(-1) === 9 && globalThis.got.length >= 4);
  const got = await page.evaluate(() => globalThis.got);
  assert.deepEqual(got, [6, 7, 8, 9].map((n) => `${n} 2405.0000${n}v1`));
  await context.close();
  way.close();
});

// A Chromium for the tests: nothing but loopback is reached, and every attempt is noted.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const need = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: these tests are run by cargo test`);
  return value;
};

const modules = createRequire(join(need("NODE_MODULES"), "any.js"));
const { chromium } = modules("playwright-core");
const axe = readFileSync(modules.resolve("axe-core/axe.min.js"), "utf8");

/** Where the API server is, without a slash at the end. */
export const base = need("BASE_URL").replace(/\/$/, "");
/** For anything that is waited for on a busy machine, in milliseconds. */
export const LIMIT = 60_000;

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A browser with a profile of its own; `page(options)` gives a page whose troubles are noted. */
export async function launch() {
  const profile = mkdtempSync(join(tmpdir(), "arxiv-browser-"));
  // A profile of one's own is what launchPersistentContext makes; contexts beside it need a browser.
  const browser = await chromium.launch({ executablePath: need("CHROMIUM"), args: FLAGS, timeout: LIMIT, env: { ...process.env, HOME: profile } });
  const close = async () => {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { browser, close };
}

/** A page in a context of its own. `noted` has requests to elsewhere, and what the console and the page complained of. */
export async function open(browser, path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(LIMIT);
  const noted = { elsewhere: [], complaints: [] };
  await context.route((url) => !["127.0.0.1", "localhost"].includes(url.hostname) && /^(http|ws)/.test(url.protocol), (route) => {
    noted.elsewhere.push(route.request().url());
    return route.abort();
  });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error") noted.complaints.push(message.text());
  });
  page.on("pageerror", (error) => noted.complaints.push(String(error)));
  await page.goto(base + path);
  return { page, context, noted };
}

/** What axe finds wrong, by WCAG 2.2 AA and good practice. */
export async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  return found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" | ")}`);
}

/** A picture for people, where a folder for them is named. */
export async function picture(page, name) {
  if (process.env.SCREENS) await page.screenshot({ path: join(process.env.SCREENS, `${name}.png`), fullPage: true });
}

// Swagger UI and ReDoc, with nothing of the internet.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, picture } from "./browser.mjs";

let chrome;
before(async () => { chrome = await launch(); });
after(() => chrome.close());

test("Swagger UI shows the operations and tries one", async () => {
  const { page, context, noted } = await open(chrome.browser, "/docs");
  await page.locator(".opblock-summary-path", { hasText: "/results" }).first().waitFor();
  await page.locator("#operations-records-results .opblock-summary-control").click();
  await page.locator("#operations-records-results").getByRole("button", { name: "Try it out" }).click();
  const answered = page.waitForResponse((response) => new URL(response.url()).pathname.endsWith("/results"));
  await page.locator("#operations-records-results").getByRole("button", { name: "Execute" }).click();
  assert.equal((await answered).status(), 200);
  await picture(page, "docs");
  assert.deepEqual(noted, { elsewhere: [], complaints: [] });
  await context.close();
});

test("ReDoc shows the operations and finds one", async () => {
  const { page, context, noted } = await open(chrome.browser, "/redoc");
  await page.getByRole("heading", { name: "Search arXiv and wait for the end" }).waitFor();
  await page.getByPlaceholder("Search...").fill("number");
  await page.locator("[data-role=\"search:results\"]").getByText("The next number").waitFor();
  await picture(page, "redoc");
  assert.deepEqual(noted, { elsewhere: [], complaints: [] });
  await context.close();
});

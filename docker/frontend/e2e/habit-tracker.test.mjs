/**
 * The whole application in a real browser: FRONTEND_URL=http://127.0.0.1:3000 npm run e2e
 *
 * CHROMIUM names the browser (/usr/bin/chromium); with SCREENSHOTS, a folder, every step is kept as a picture.
 */

import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const { FRONTEND_URL, CHROMIUM = "/usr/bin/chromium", SCREENSHOTS } = process.env;
const email = `browser-${Date.now()}@example.org`;
const password = "correct horse battery";

let browser;
let page;
const errors = [];

before(async () => {
  assert.ok(FRONTEND_URL, "`FRONTEND_URL` is not set: name the running frontend, for example http://127.0.0.1:3000");
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    // Containers and root have no user namespace for the sandbox; the other flags keep the browser off the network.
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  page = await browser.newPage({ viewport: { width: 820, height: 900 } });
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(FRONTEND_URL);
});

after(() => browser?.close());

async function picture(name) {
  if (SCREENSHOTS) await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

const habit = (name) => page.getByRole("listitem").filter({ hasText: name });

test("the page names its API and says that it answers", async () => {
  assert.equal(await page.locator("[data-api-url]").getAttribute("data-api-reachable"), "true");
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await picture("log-in");
});

test("a wrong password is refused with a reason", async () => {
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await page.locator("section").getByRole("alert").getByText("The address or the password is wrong.").waitFor();
  await picture("wrong-password");
});

test("register", async () => {
  await page.getByRole("button", { name: "Register instead" }).click();
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await picture("register");
  await page.getByRole("button", { name: "Register", exact: true }).click();
  await page.getByText("No habits yet.").waitFor();
  await picture("no-habits");
});

test("log out and in again", async () => {
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await page.getByText("No habits yet.").waitFor();
});

test("make habits, with the keyboard too", async () => {
  await page.getByLabel("New habit").fill("Read ten pages");
  await page.getByRole("button", { name: "Add" }).click();
  await habit("Read ten pages").getByText("No streak yet").waitFor();
  await page.getByLabel("New habit").fill("Walk around the block before the first meeting of the day");
  await page.getByLabel("New habit").press("Enter");
  await habit("Walk").waitFor();
  assert.equal(await page.getByLabel("New habit").inputValue(), "");
});

test("check one off and see the streak", async () => {
  await page.getByLabel("Read ten pages").check();
  await habit("Read ten pages").getByText("1-day streak").waitFor();
  assert.equal(await page.getByLabel("Walk around the block").isChecked(), false);
  await picture("checked-off");
});

test("a reload shows the same, a check can be taken back", async () => {
  await page.reload();
  await habit("Read ten pages").getByText("1-day streak").waitFor();
  await page.getByLabel("Read ten pages").uncheck();
  await habit("Read ten pages").getByText("No streak yet").waitFor();
  await page.getByLabel("Read ten pages").check();
  await habit("Read ten pages").getByText("1-day streak").waitFor();
});

test("the coach answers, or says why it does not", async () => {
  await page.getByLabel("Question for the coach").fill("How do I keep going?");
  await page.getByRole("button", { name: "Ask" }).click();
  await page.locator(".exchange .notice").waitFor();
  assert.notEqual((await page.locator(".exchange .notice").innerText()).trim(), "");
  await picture("coach");
});

test("dark and narrow it looks right too", async () => {
  await page.emulateMedia({ colorScheme: "dark" });
  await picture("dark");
  await page.setViewportSize({ width: 320, height: 640 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  assert.equal(overflow, false);
  await picture("narrow");
});

test("no script failed on the way", () => {
  assert.deepEqual(errors, []);
});

// A person at the Playground's page, in Debian's Chromium: told what to do by lines of JSON on standard input, answering
// each with a line of its own.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../../.tools/node/", import.meta.url));
const { chromium } = require("playwright-core");

const PATIENCE = 20_000;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1100, height: 1400 } });
page.setDefaultTimeout(PATIENCE);

const steps = {
  // Opens the page and waits until it can be written in.
  open: async ({ url }) => {
    await page.goto(url);
    await page.locator("[contenteditable=true], textarea").first().waitFor();
  },
  // Goes to a chat by its name in the list.
  chat: async ({ name }) => {
    await page.getByText(name, { exact: true }).first().click();
  },
  say: async ({ text }) => {
    const box = page.locator("[contenteditable=true], textarea").first();
    await box.click();
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
  },
  // The last of the buttons of that name that a card shows.
  press: async ({ name }) => {
    await page.getByRole("button", { name, exact: true }).last().click();
  },
  write: async ({ text }) => {
    await page.locator("textarea.ac-textInput, .ac-textInput, textarea").last().fill(text);
  },
  see: async ({ text, patience }) => {
    await page.getByText(text).last().waitFor({ timeout: patience ?? PATIENCE });
  },
  buttons: async () => page.getByRole("button").allTextContents(),
  text: async () => page.locator("body").innerText(),
  html: async () => page.content(),
  shot: async ({ file, width, height }) => {
    if (width) await page.setViewportSize({ width, height });
    await page.screenshot({ path: file });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  try {
    const value = await steps[step.do](step);
    console.log(JSON.stringify({ ok: true, value: value ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ ok: false, error: String(error).slice(0, 1500) }));
  }
}
await browser.close();

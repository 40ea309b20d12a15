// Our cards, as the crate's snapshots have them, before Microsoft's own `adaptivecards`: each parses without a word of
// complaint and renders (jsdom), and each is drawn in Debian's Chromium.
//
//     node tests/channels/teams/cards.mjs [FOLDER [NAME...]]
//
// With a folder the pictures are kept there. The fonts and colours are those of Teams' light theme, about; how Teams itself
// draws a card only Teams can show.

import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import assert from "node:assert/strict";

const ROOT = new URL("../../../", import.meta.url).pathname;
const require = createRequire(join(ROOT, ".tools/node/"));
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("<body></body>");
globalThis.window = window;
for (const name of Object.getOwnPropertyNames(window)) {
  if (/^(document$|HTML|Element$|Event$|Node$|KeyboardEvent$)/.test(name)) globalThis[name] = window[name];
}
// jsdom has no layout, and so no innerText.
Object.defineProperty(window.HTMLElement.prototype, "innerText", {
  get() { return this.textContent; },
  set(text) { this.textContent = text; },
});
const AdaptiveCards = require("adaptivecards/dist/adaptivecards.js");
const { chromium } = require("playwright-core");

const SNAPSHOTS = join(ROOT, "crates/channels/src/teams/tests/snapshots");
const [folder, ...names] = process.argv.slice(2);
const NOT_CARDS = ["line"];

const cards = readdirSync(SNAPSHOTS)
  .filter((file) => file.includes("__render__"))
  .map((file) => [
    file.replace(/^.*__/, "").replace(/\.snap$/, ""),
    JSON.parse(readFileSync(join(SNAPSHOTS, file), "utf8").split("---\n").slice(2).join("---\n")),
  ])
  .filter(([name]) => !NOT_CARDS.includes(name) && (names.length === 0 || names.includes(name)));

const HOST = {
  fontFamily: "'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif",
  spacing: { small: 4, default: 8, medium: 12, large: 16, extraLarge: 24, padding: 12 },
  actions: { maxActions: 6, actionsOrientation: "horizontal", actionAlignment: "left", buttonSpacing: 8,
    showCard: { actionMode: "inline", inlineTopMargin: 12 } },
  containerStyles: {
    default: { backgroundColor: "#ffffff" },
    emphasis: { backgroundColor: "#f5f5f5" },
    accent: { backgroundColor: "#e8ebfa" },
    good: { backgroundColor: "#e7f2da" },
    attention: { backgroundColor: "#fdf3f4" },
    warning: { backgroundColor: "#fbf6d9" },
  },
};

// The parser's words about what it did not understand.
function parse(card, version) {
  const context = new AdaptiveCards.SerializationContext(version);
  const parsed = new AdaptiveCards.AdaptiveCard();
  parsed.hostConfig = new AdaptiveCards.HostConfig(HOST);
  parsed.parse(card, context);
  const events = Array.from({ length: context.eventCount }, (_, at) => context.getEventAt(at).message);
  return { parsed, events };
}

let passed = 0, failed = 0;
const check = async (name, work) => {
  try {
    await work();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.message}`);
  }
};

const V15 = AdaptiveCards.Versions.v1_5;
for (const [name, card] of cards) {
  await check(`${name} parses and renders`, () => {
    const { parsed, events } = parse(card, V15);
    assert.deepEqual(events, []);
    assert.deepEqual(parsed.validateProperties().validationEvents.map((event) => event.message), []);
    const drawn = parsed.render();
    assert.ok(drawn.textContent.length > 20);
    assert.ok(!drawn.textContent.includes("{{"), "a date is not drawn");
    assert.ok(!/NaN|Invalid/.test(drawn.textContent), drawn.textContent);
    assert.ok(Buffer.byteLength(JSON.stringify(card)) <= 25_000);
  });
}
await check("a parser that takes anything proves nothing", () => {
  const wrong = { type: "AdaptiveCard", version: "1.5", body: [{ type: "TextBlok", text: "x" }] };
  assert.notDeepEqual(parse(wrong, V15).events, []);
});
await check("there are cards of each kind", () => assert.ok(names.length || cards.length >= 11, `${cards.length}`));

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 560, height: 400 }, timezoneId: "Europe/Berlin" });
if (folder) mkdirSync(folder, { recursive: true });
for (const [name, card] of cards) {
  await check(`${name} is drawn within a phone's and a desk's width`, async () => {
    for (const width of [360, 560]) {
      await page.setViewportSize({ width, height: 400 });
      await page.setContent(`<style>
        body { margin: 0; padding: 10px; font: 14px/1.4 ${HOST.fontFamily}; background: #fff; color: #242424; }
        #card { border: 1px solid #e0e0e0; border-radius: 4px; box-shadow: 0 1px 3px #0002; overflow: hidden; }
        button { font: 600 13px ${HOST.fontFamily}; padding: 6px 12px; border: 1px solid #d1d1d1; border-radius: 4px; background: #fff; color: #242424; }
        button.style-positive { background: #5b5fc7; border-color: #5b5fc7; color: #fff; }
        button.style-destructive { color: #c4314b; border-color: #c4314b; }
        .ac-richTextBlock { overflow-wrap: anywhere; }
      </style><div id="card"></div>`);
      await page.addScriptTag({ path: require.resolve("adaptivecards/dist/adaptivecards.js") });
      await page.evaluate(([card, host]) => {
        const drawn = new window.AdaptiveCards.AdaptiveCard();
        drawn.hostConfig = new window.AdaptiveCards.HostConfig(host);
        drawn.parse(card);
        document.querySelector("#card").append(drawn.render());
      }, [card, HOST]);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${wide} pixels at ${width}`);
    }
    if (folder) await page.locator("#card").screenshot({ path: join(folder, `teams-${name.replaceAll("_", "-")}.png`) });
  });
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || !passed ? 1 : 0);

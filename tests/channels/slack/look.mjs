// Pictures of the cards: Block Kit as HTML that looks about like Slack, in Debian's Chromium.
//
//     node tests/channels/slack/look.mjs FOLDER [NAME...]
//
// It reads the crate's snapshots, and writes a picture of each (or of the named ones) into the folder. It shows layout and
// wording; how Slack itself draws a block only Slack can show.

import { readFileSync, readdirSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { chromium } = createRequire(import.meta.url)("playwright-core");
const SNAPSHOTS = new URL("../../../crates/channels/src/slack/tests/snapshots/", import.meta.url).pathname;
const [folder, ...names] = process.argv.slice(2);

const STYLE = `
body { margin: 0; background: #fff; font: 15px/1.46 Lato, "Noto Sans", "DejaVu Sans", sans-serif; color: #1d1c1d; }
.message { width: 560px; padding: 16px 20px; display: flex; gap: 10px; }
.avatar { width: 36px; height: 36px; border-radius: 6px; background: #1f2937; flex: none; }
.who { font-weight: 900; } .app { font-size: 10px; background: #e8e8e8; padding: 1px 4px; border-radius: 2px; margin: 0 6px; color: #616061; }
.when { font-size: 12px; color: #616061; }
.body { flex: 1; min-width: 0; }
.header { font-size: 18px; font-weight: 900; margin: 8px 0 4px; overflow-wrap: anywhere; }
.section { margin: 8px 0; overflow-wrap: anywhere; white-space: pre-wrap; display: flex; justify-content: space-between; gap: 12px; }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 16px; margin: 8px 0; }
.context { margin: 6px 0; font-size: 13px; color: #616061; overflow-wrap: anywhere; white-space: pre-wrap; }
.actions { margin: 10px 0 4px; display: flex; gap: 8px; flex-wrap: wrap; }
button { font: 700 13px Lato, "Noto Sans", "DejaVu Sans", sans-serif; padding: 6px 12px; border: 1px solid #bbb; border-radius: 6px; background: #fff; }
button.primary { background: #007a5a; color: #fff; border-color: #007a5a; }
button.danger { background: #e01e5a; color: #fff; border-color: #e01e5a; }
code { font: 12px "DejaVu Sans Mono", monospace; color: #c01343; background: #f8f8f8; border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px; }
pre { font: 12px/1.5 "DejaVu Sans Mono", monospace; background: #f8f8f8; border: 1px solid #ddd; border-radius: 4px; padding: 8px; margin: 0; flex: 1; white-space: pre-wrap; }
a { color: #1264a3; text-decoration: none; }
.modal { width: 480px; padding: 20px 24px; } .modal h1 { font-size: 22px; margin: 0 0 12px; }
.confirm { width: 420px; padding: 16px 20px; margin: 12px 66px; border: 1px solid #ddd; border-radius: 8px; box-shadow: 0 2px 8px #0002; }
.input { margin: 8px 0 16px; font-weight: 700; } textarea { display: block; width: 100%; height: 90px; margin-top: 6px; box-sizing: border-box; }
.home { width: 600px; padding: 20px; }
`;

const date = (_, seconds) => new Date(Number(seconds) * 1000).toLocaleString("en-GB", { timeZone: "Europe/Berlin", dateStyle: "medium", timeStyle: "medium" });
const markup = (text) =>
  text
    .split(/```\n([\s\S]*?)\n```/)
    .map((part, at) =>
      at % 2
        ? `<pre>${part}</pre>`
        : part
            .split(/`([^`]*)`/)
            .map((words, at) =>
              at % 2
                ? `<code>${words}</code>`
                : words
                    .replace(/<!date\^(\d+)\^[^|]*\|[^>]*>/g, date)
                    .replace(/<(http[^|>]*)\|([^>]*)>/g, '<a href="$1">$2</a>')
                    .replace(/\*([^*\n]+)\*/g, "<b>$1</b>"),
            )
            .join(""),
    )
    .join("");
// Entities of Slack's are entities of HTML.
const text = (value) => (value.type === "mrkdwn" ? markup(value.text) : value.text);
const button = (element) => `<button class="${element.style ?? ""}">${text(element.text)}</button>`;
const block = (it) => {
  switch (it.type) {
    case "header": return `<div class="header">${text(it.text)}</div>`;
    case "section":
      if (it.fields) return `<div class="fields">${it.fields.map((field) => `<div>${text(field)}</div>`).join("")}</div>`;
      return `<div class="section"><div>${text(it.text)}</div>${it.accessory ? button(it.accessory) : ""}</div>`;
    case "context": return `<div class="context">${it.elements.map(text).join(" ")}</div>`;
    case "actions": return `<div class="actions">${it.elements.map(button).join("")}</div>`;
    case "input": return `<div class="input">${text(it.label)}<textarea></textarea></div>`;
    default: throw new Error(`no picture of ${it.type}`);
  }
};
const dialog = (confirm) =>
  `<div class="confirm"><div class="header">${text(confirm.title)}</div><div class="section">${text(confirm.text)}</div>
   <div class="actions" style="justify-content: end"><button>${text(confirm.deny)}</button><button class="primary">${text(confirm.confirm)}</button></div></div>`;
const page = (value) => {
  const blocks = value.blocks.map(block).join("");
  if (value.type === "home") return `<div class="home">${blocks}</div>`;
  if (value.type === "modal") {
    return `<div class="modal"><h1>${text(value.title)}</h1>${blocks}<div class="actions" style="justify-content: end">
      <button>${text(value.close)}</button><button class="primary">${text(value.submit)}</button></div></div>`;
  }
  const asked = value.blocks.flatMap((it) => it.elements ?? []).find((element) => element.confirm);
  return `<div class="message"><div class="avatar"></div><div class="body"><span class="who">countersign</span><span class="app">APP</span>
    <span class="when">13:45</span>${blocks}</div></div>${asked ? dialog(asked.confirm) : ""}`;
};

mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const sheet = await browser.newPage({ viewport: { width: 640, height: 400 } });
for (const file of readdirSync(SNAPSHOTS).filter((file) => file.includes("render__"))) {
  const name = file.replace(/.*render__/, "").replace(".snap", "");
  if (names.length && !names.includes(name)) continue;
  const value = JSON.parse(readFileSync(join(SNAPSHOTS, file), "utf8").split("---\n").slice(2).join("---\n"));
  await sheet.setContent(`<!doctype html><meta charset="utf-8"><style>${STYLE}</style><div id="all" style="width: fit-content">${page(value)}</div>`);
  await sheet.locator("#all").screenshot({ path: join(folder, `slack-${name.replaceAll("_", "-")}.png`) });
  console.log(name);
}
await browser.close();

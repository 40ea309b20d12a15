// The console in a real browser: Debian's Chromium with its virtual authenticator.
//
// Two people enrol by their links, an agent's call is held, the inbox shows it without a reload, and the request is
// approved, asked about and denied with a passkey. A third person breaks glass, and what they did is looked at afterwards.
// Nothing may be logged to the browser's console as an error, and a
// phone's width must not scroll sideways. With SCREENSHOTS=DIR the pages are saved there.

import { spawn } from "node:child_process";
import { createPrivateKey, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync, openSync } from "node:fs";
import { createRequire } from "node:module";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import assert from "node:assert/strict";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const ROOT = new URL("../..", import.meta.url).pathname;
const BINARY = process.env.COUNTERSIGN_BIN ?? join(ROOT, "target/debug/countersign");
const SHOTS = process.env.SCREENSHOTS;

const POLICY = `
@id("all") @why("Everything may be asked")
permit (principal, action, resource);
@id("hold-removal") @hold("reviewers:1") @break_glass("oncall") @ttl("30m") @grant("10m") @why("Removes something for good")
forbid (principal, action in Action::"destroy", resource);
@id("hold-bulk") @hold("reviewers:2") @ttl("30m") @grant("10m") @why("Takes everything at once")
forbid (principal, action == Action::"http.export", resource);
`;

const freePort = () => new Promise((done) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

const until = async (what, look, seconds = 20) => {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `${what} did not happen in ${seconds} s`);
    await new Promise((done) => setTimeout(done, 50));
  }
};

async function startTarget() {
  const removed = [];
  const server = http.createServer((request, response) => {
    if (request.method === "DELETE") removed.push(request.url);
    request.resume().on("end", () => response.writeHead(request.method === "DELETE" ? 204 : 200).end());
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { server, removed, url: `http://127.0.0.1:${server.address().port}` };
}

async function startHouse() {
  const folder = mkdtempSync(join(tmpdir(), "countersign-console-"));
  const [port, point] = [await freePort(), await freePort()];
  const url = `http://localhost:${port}`;
  const config = join(folder, "countersign.toml");
  writeFileSync(config, `public_url = "${url}"\n[listen]\nconsole = "127.0.0.1:${port}"\nhttp = "127.0.0.1:${point}"\n`);
  const [out, err] = ["stdout.log", "stderr.log"].map((name) => join(folder, name));
  const child = spawn(BINARY, ["--config", config, "up", "--admin", "Ada Admin"],
    { stdio: ["ignore", openSync(out, "w"), openSync(err, "w")] });
  const link = await until("the first link", () => /https?:\/\/\S+\/enrol#\S+/.exec(readFileSync(out, "utf8"))?.[0], 30);
  return { child, url, point, link, log: () => readFileSync(err, "utf8") };
}

// A person: a browser context of their own with a virtual authenticator that verifies its user.
async function person(browser, troubles, name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, ...options });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error") troubles.push(`${name}: ${message.text()} at ${message.location().url}`);
  });
  page.on("pageerror", (error) => troubles.push(`${name}: ${error.message}`));
  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: true },
  });
  return { page, devtools, authenticatorId, name };
}

async function enrol(who, link) {
  await who.page.goto(link);
  await who.page.fill("#label", `${who.name}'s key`);
  await who.page.click("#enrol button[type=submit], #enrol button");
  await who.page.waitForURL((url) => url.pathname === "/", { timeout: 15000 });
}

// Calls the API as the page would, with the page's session.
const api = (who, method, path, body) => who.page.evaluate(async ([method, path, body]) => {
  const answer = await fetch(path, {
    method, headers: body ? { "content-type": "application/json" } : {}, body: body ? JSON.stringify(body) : undefined,
  });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}, [method, path, body]);

const b64 = (bytes) => Buffer.from(bytes).toString("base64url");

async function addAgent(house, admin, sponsor) {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "jwk" }).x;
  const added = await api(admin, "POST", "/v1/agents", { name: "deploy-bot", sponsor, key: raw });
  assert.ok(added.status < 300, JSON.stringify(added));
  const { body } = await api(admin, "GET", "/v1/agents");
  const id = `agent:${body.agents.find((agent) => agent.name === "deploy-bot").id}`;
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: id, sub: id, aud: `${house.url}/v1/token`, iat: now, exp: now + 120, jti: randomUUID() };
  const signed = `${b64(JSON.stringify({ alg: "EdDSA", typ: "JWT" }))}.${b64(JSON.stringify(claims))}`;
  const assertion = `${signed}.${b64(sign(null, Buffer.from(signed), createPrivateKey(privateKey.export({ format: "pem", type: "pkcs8" }))))}`;
  const form = new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion });
  const answer = await fetch(`${house.url}/v1/token`, { method: "POST", body: form });
  assert.equal(answer.status, 200, await answer.clone().text());
  const { access_token: token } = await answer.json();
  const call = (method, path, body, headers = {}) => fetch(`http://127.0.0.1:${house.point}${path}`, {
    method, body, headers: { authorization: `Bearer ${token}`, ...headers },
  });
  return { call };
}

// Somebody comes by an invitation, of one group, and the administrator signs for their key; `look` sees the request.
async function joins(house, admin, who, name, group, look = async () => {}) {
  const added = await api(admin, "POST", "/v1/people", { name });
  assert.ok(added.status < 300, JSON.stringify(added));
  const { body } = await api(admin, "GET", "/v1/people");
  const id = body.people.find((row) => row.name === name).id;
  const joined = await api(admin, "PUT", `/v1/groups/${group}/members/${id}`, {});
  assert.ok(joined.status < 300, JSON.stringify(joined));
  const invite = await api(admin, "POST", `/v1/people/${id}/invite`, {});
  assert.ok(invite.status < 300, JSON.stringify(invite));
  await who.page.goto(invite.body.url);
  await who.page.fill("#label", `${who.name}'s key`);
  await who.page.click("#enrol button[type=submit], #enrol button");
  await who.page.waitForSelector("#held:not([hidden])", { timeout: 15000 });
  const request = await who.page.getAttribute("#held-link", "href");
  await look(request);
  await admin.page.goto(`${house.url}${request}`);
  await approveHere(admin);
  await until(`${name}'s key stands`, async () => (await api(admin, "GET", `/v1${request}`)).body.state === "finished");
  await who.page.goto(`${house.url}/login`);
  await who.page.click("#login button");
  await who.page.waitForURL((url) => url.pathname === "/", { timeout: 15000 });
  return body.people;
}

async function shot(who, name) {
  if (!SHOTS) return;
  await who.page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: false });
}

async function noSidewaysScroll(page) {
  const [content, view] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(content <= view, `${page.url()} is ${content} px wide in a window of ${view} px`);
}

async function openHeld(reviewer, part) {
  await reviewer.page.goto(new URL("/", reviewer.page.url()).href);
  const row = reviewer.page.locator("a[href^='/approvals/']", { hasText: part }).first();
  await row.waitFor({ timeout: 15000 });
  await row.click();
  await reviewer.page.waitForSelector("#request");
}

// Approve, and what else decides, opens once every part of the payload was on the screen to its end.
async function press(reviewer, button) {
  const page = reviewer.page;
  await until("the payload seen to its end", async () => {
    if (await page.locator(`${button}:not([disabled])`).count()) return true;
    const rest = page.locator("#gate [data-do=show-rest]");
    if (await rest.isVisible().catch(() => false)) await rest.click({ timeout: 1000 }).catch(() => {});
    await page.waitForTimeout(100);
    return false;
  });
  await page.click(button);
}

async function approveHere(reviewer) {
  const page = reviewer.page;
  await press(reviewer, "#approve");
  const typed = page.locator("#typed");
  if (await typed.isVisible().catch(() => false)) await typed.fill(await typed.getAttribute("data-expected"));
  const confirm = page.locator("dialog[open] form[data-verdict=approve] button[type=submit], dialog[open] button.approve");
  if (await confirm.first().isVisible().catch(() => false)) await confirm.first().click();
}

async function main() {
  let passed = 0, failed = 0;
  const check = async (name, work) => {
    try {
      await work();
      passed += 1;
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}: ${error.stack ?? error}`);
    }
  };
  const troubles = [];
  const [house, target] = [await startHouse(), await startTarget()];
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  try {
    const ada = await person(browser, troubles, "Ada");
    const rita = await person(browser, troubles, "Rita");
    let agent;

    await check("the first administrator enrols by their link", async () => {
      await ada.page.goto(house.link);
      await shot(ada, "enrol");
      await noSidewaysScroll(ada.page);
      await enrol(ada, house.link);
      await shot(ada, "inbox-empty");
    });

    await check("a second person enrols by an invitation, and the administrator signs for the key", async () => {
      // Ada signs for exactly this key, in the console; then it signs Rita in.
      const people = await joins(house, ada, rita, "Rita Reviewer", "reviewers", async (request) => {
        const fingerprint = await rita.page.textContent("#held-key");
        assert.match(fingerprint, /^SHA256:[A-Za-z0-9+/]{43}$/);
        await shot(rita, "enrol-held");
        await ada.page.goto(`${house.url}${request}`);
        const shown = await ada.page.innerText("#request");
        for (const part of [fingerprint, "Rita's key", "separation: none"]) assert.ok(shown.includes(part), `no ${part}`);
        await shot(ada, "enrol-request");
      });
      const me = await api(ada, "GET", "/v1/me");
      const sponsor = people.find((row) => row.name === "Ada Admin").id;
      assert.ok(me.status === 200);
      agent = await addAgent(house, ada, sponsor);
      const policy = await api(ada, "PUT", "/v1/policy", { text: POLICY });
      assert.ok(policy.status < 300, JSON.stringify(policy));
      const route = await api(ada, "PUT", "/v1/routes/orders", {
        name: "orders", upstream: target.url, environment: "prod", run_when_gone: true, wait: "50s",
        operations: [{ method: "DELETE", path: "/orders/{id}", resource: "orders/{id}" }],
      });
      assert.ok(route.status < 300, JSON.stringify(route));
    });

    await check("a spent link says so", async () => {
      const visitor = await person(browser, [], "visitor");
      await visitor.page.goto(house.link);
      await visitor.page.waitForSelector("#spent:not([hidden])", { timeout: 10000 });
      await visitor.page.context().close();
    });

    await check("a held call appears in the inbox without a reload, and is approved", async () => {
      await rita.page.goto(`${house.url}/`);
      const body = JSON.stringify({ note: "clean up \u202e drawkcab", zero: "wid\u200bth" });
      const answer = agent.call("DELETE", "/orders/17", body, {
        "content-type": "application/json", "countersign-reason": "the order was a duplicate",
      });
      await rita.page.locator("a[href^='/approvals/']", { hasText: "orders/17" }).first().waitFor({ timeout: 15000 });
      await shot(rita, "inbox");
      await noSidewaysScroll(rita.page);
      await openHeld(rita, "orders/17");
      const text = await rita.page.innerText("#request");
      for (const part of ["U+202E", "U+200B", "Removes something for good", "Ada Admin", "deploy-bot", "duplicate"]) {
        assert.ok(text.includes(part), `the page does not show ${part}`);
      }
      await shot(rita, "request");
      if (SHOTS) {
        const rest = rita.page.locator("#gate [data-do=show-rest]");
        if (await rest.isVisible().catch(() => false)) await rest.click();
        await rita.page.locator("#approve:not([disabled])").waitFor();
        await shot(rita, "request-seen");
      }
      await noSidewaysScroll(rita.page);
      assert.equal(target.removed.length, 0);
      await approveHere(rita);
      await rita.page.waitForSelector("[data-live=stage] [data-tone=good]", { timeout: 15000 });
      assert.equal((await answer).status, 204);
      assert.deepEqual(target.removed, ["/orders/17"]);
      await until("the outcome on the page", async () => /204|succeeded|ran/i.test(await rita.page.innerText("[data-live=stage]")));
      assert.equal(await rita.page.locator("#approve").count(), 0, "the buttons must be gone");
      await shot(rita, "request-done");
    });

    await check("what is masked is shown to a reviewer who asks for it, and then approved", async () => {
      const card = "4111 1111 1111 1111";
      const before = target.removed.length;
      const answer = agent.call("DELETE", "/orders/16", JSON.stringify({ card }), { "content-type": "application/json" });
      await openHeld(rita, "orders/16");
      const page = await rita.page.content();
      assert.ok(!page.includes(card) && !page.includes("1111 1111"), "the page must not hold what it masks");
      assert.match(await rita.page.innerText("#request"), /masked: card …1111/);
      await rita.page.click("#masked [data-do=reveal][data-field='http.body']");
      await until("the field as it is", async () => (await rita.page.innerText("#masked")).includes(card));
      await shot(rita, "revealed");
      await approveHere(rita);
      assert.equal((await answer).status, 204);
      assert.equal(target.removed.length, before + 1);
      target.removed.pop();
    });

    await check("the sponsor sees why they cannot approve", async () => {
      const answer = agent.call("DELETE", "/orders/18");
      await openHeld(ada, "orders/18").catch(async () => {
        // Not in the sponsor's own inbox tab: they open it by its link.
        const { body } = await api(rita, "GET", "/v1/approvals?state=pending");
        await ada.page.goto(`${house.url}/approvals/${body.approvals[0].id}`);
      });
      assert.equal(await ada.page.locator("#approve:not([disabled])").count(), 0);
      assert.match(await ada.page.innerText("body"), /chain|group/i);
      await openHeld(rita, "orders/18");
      await rita.page.click("#deny");
      await rita.page.fill("#deny-note", "this order is real");
      await rita.page.click("dialog[open] form[data-verdict=deny] button[type=submit], dialog[open] button.deny");
      const denied = await answer;
      assert.equal(denied.status, 403);
      assert.match((await denied.json()).detail, /this order is real/);
      assert.deepEqual(target.removed, ["/orders/17"]);
    });

    await check("a question stops the run until it is answered", async () => {
      const answer = agent.call("DELETE", "/orders/19");
      await openHeld(rita, "orders/19");
      await rita.page.click("#ask");
      await rita.page.fill("#ask-note", "which customer is this?");
      await rita.page.click("dialog[open] form[data-verdict=ask] button[type=submit], dialog[open] button[type=submit]");
      await until("the question on the page", async () => (await rita.page.innerText("#request")).includes("which customer"));
      const id = new URL(rita.page.url()).pathname.split("/").pop();
      await ada.page.goto(`${house.url}/approvals/${id}`);
      await ada.page.fill("form.answer textarea, form.answer input[name=text]", "customer 4711");
      await ada.page.click("form.answer button[type=submit], form.answer button");
      await until("the answer on the answerer's page", async () =>
        (await ada.page.locator("form.answer").count()) === 0 && (await ada.page.innerText("#request")).includes("4711"));
      await rita.page.goto(`${house.url}/approvals/${id}`);
      await until("the answer on the reviewer's page", async () => (await rita.page.innerText("#request")).includes("customer 4711"));
      await rita.page.goto(`${house.url}/approvals/${id}`);
      await approveHere(rita);
      assert.equal((await answer).status, 204);
      assert.deepEqual(target.removed, ["/orders/17", "/orders/19"]);
    });

    await check("an authenticator that does not verify its user cannot approve", async () => {
      const answer = agent.call("DELETE", "/orders/20", undefined, { prefer: "respond-async" });
      assert.equal((await answer).status, 202);
      await openHeld(rita, "orders/20");
      await rita.devtools.send("WebAuthn.setUserVerified", { authenticatorId: rita.authenticatorId, isUserVerified: false });
      const before = troubles.length;
      await approveHere(rita);
      await rita.page.waitForTimeout(1500);
      troubles.length = before;
      assert.deepEqual(target.removed, ["/orders/17", "/orders/19"]);
      await rita.devtools.send("WebAuthn.setUserVerified", { authenticatorId: rita.authenticatorId, isUserVerified: true });
    });

    await check("keyboard alone opens a request", async () => {
      await rita.page.goto(`${house.url}/`);
      await rita.page.locator("a[href^='/approvals/']").first().waitFor();
      await rita.page.keyboard.press("j");
      await rita.page.keyboard.press("Enter");
      await rita.page.waitForURL(/\/approvals\//, { timeout: 5000 });
    });

    await check("one person breaks glass alone, and another looks at it afterwards", async () => {
      const otto = await person(browser, troubles, "Otto", { viewport: { width: 1280, height: 900 } });
      await joins(house, ada, otto, "Otto Oncall", "oncall");
      const before = target.removed.length;
      const answer = agent.call("DELETE", "/orders/21", JSON.stringify({ why: "disk full" }), { "content-type": "application/json" });
      const id = await until("the request", async () => {
        const { body } = await api(rita, "GET", "/v1/approvals?state=pending");
        return body.approvals.find((row) => row.resource.includes("orders/21"))?.id;
      });
      await otto.page.goto(`${house.url}/approvals/${id}`);
      assert.equal(await otto.page.locator("#approve, #deny").count(), 0, "who may only break glass does nothing else");
      await press(otto, "#glass");
      await shot(otto, "glass-sheet");
      const typed = otto.page.locator("#glass-typed");
      await typed.fill(await typed.getAttribute("data-expected"));
      await otto.page.fill("#glass-note", "the disk is full, and nobody else answers");
      await otto.page.click("dialog[open] form[data-verdict=glass] button[type=submit]");
      assert.equal((await answer).status, 204);
      assert.equal(target.removed.length, before + 1);
      await otto.page.locator("[data-live=stage]", { hasText: "Nobody has looked at this since" }).waitFor({ timeout: 15000 });
      const told = await otto.page.innerText("[data-live=stage]");
      for (const part of ["Break-glass: one person approved this alone", "Otto Oncall", "the disk is full"]) {
        assert.ok(told.includes(part), `the page does not say ${part}`);
      }
      assert.equal(await otto.page.locator("#look-back").count(), 0, "nobody looks at their own");
      await shot(otto, "glass-broken");
      // Ada sponsors the agent: it stands on her list, and is not hers to judge.
      await ada.page.goto(`${house.url}/?tab=glass`);
      await ada.page.locator("#inbox-list .row", { hasText: "orders/21" }).waitFor({ timeout: 15000 });
      await shot(ada, "glass-list");
      await ada.page.goto(`${house.url}/approvals/${id}`);
      assert.equal(await ada.page.locator("#look-back").count(), 0, "nor a sponsor at what their agent did");
      // Rita was passed over.
      await rita.page.goto(`${house.url}/?tab=glass`);
      await rita.page.locator("#inbox-list .row", { hasText: "orders/21" }).waitFor({ timeout: 15000 });
      assert.match(await rita.page.innerText("#inbox-list"), /Yours to look at/);
      await noSidewaysScroll(rita.page);
      await shot(rita, "glass-list-mine");
      await rita.page.locator("#inbox-list .row a", { hasText: "orders/21" }).click();
      await rita.page.waitForSelector("#request");
      await noSidewaysScroll(rita.page);
      await shot(rita, "glass-to-look-at");
      await press(rita, "#look-back");
      await rita.page.check("dialog[open] input[value=justified]");
      await rita.page.fill("#look-back-note", "I was asleep, and it was right");
      await shot(rita, "look-back-sheet");
      await rita.page.click("dialog[open] form[data-verdict=look-back] button[type=submit]");
      await rita.page.locator("[data-live=stage]", { hasText: "Looked at afterwards: justified" }).waitFor({ timeout: 15000 });
      assert.match(await rita.page.innerText("[data-live=stage]"), /Rita Reviewer[^]*I was asleep, and it was right/);
      await until("the button gone", async () => (await rita.page.locator("#look-back").count()) === 0);
      await noSidewaysScroll(rita.page);
      await shot(rita, "looked-back");
      await rita.page.goto(`${house.url}/?tab=glass`);
      assert.match(await rita.page.innerText("#inbox-list"), /No broken glass waits/);
      const { body } = await api(ada, "GET", "/v1/approvals?awaits_later_review=true");
      assert.deepEqual(body.approvals, []);
      assert.equal((await api(ada, "GET", "/v1/approvals?broken_glass=true")).body.approvals.length, 1);
      await otto.page.goto(`${house.url}/approvals/${id}`);
      await shot(otto, "looked-back-desktop");
      assert.equal(target.removed.pop(), "/orders/21", "nothing ran again");
      await otto.page.context().close();
    });

    await check("the trail is searched, narrowed, and keeps itself current", async () => {
      await ada.page.goto(`${house.url}/trail?q=${encodeURIComponent('target:orders kind:outcome')}`);
      await ada.page.locator("#trail-list .row").nth(1).waitFor({ timeout: 15000 });
      await noSidewaysScroll(ada.page);
      await shot(ada, "trail");
      const rows = () => ada.page.locator("#trail-list .row").count();
      const before = await rows();
      const answer = agent.call("GET", "/orders/31");
      assert.equal((await answer).status, 200);
      await until("a new outcome without a reload", async () => (await rows()) > before);
      await ada.page.keyboard.press("/");
      assert.equal(await ada.page.evaluate(() => document.activeElement.id), "q");
      await ada.page.fill("#q", "agent:deploy-bot duplicate");
      await ada.page.keyboard.press("Enter");
      await ada.page.waitForURL(/duplicate/);
      await ada.page.locator("#trail-list .row", { hasText: "duplicate" }).first().waitFor();
      await ada.page.locator("#trail-list .row a").first().click();
      await ada.page.waitForURL(/\/approvals\//);
      await ada.page.goto(`${house.url}/trail?q=${encodeURIComponent("orders foo:bar")}`);
      assert.equal(await ada.page.innerText("mark.broken"), "foo:bar");
      await rita.page.goto(`${house.url}/trail`);
      assert.match(await rita.page.innerText("body"), /administrators/);
      troubles.splice(0, troubles.length, ...troubles.filter((one) => !/\/trail$/.test(one)));
    });

    await check("pages for administrators show and fit", async () => {
      for (const path of ["/people", "/agents", "/routes", "/policy", "/trail", "/activity"]) {
        const answer = await ada.page.goto(house.url + path);
        assert.equal(answer.status(), 200, path);
        await noSidewaysScroll(ada.page);
        await shot(ada, path.slice(1));
      }
    });

    await check("every page has the strict policy and no page had an error", async () => {
      const answer = await ada.page.goto(house.url);
      const policy = answer.headers()["content-security-policy"] ?? "";
      assert.match(policy, /default-src 'none'/);
      assert.ok(!/unsafe-inline|unsafe-eval/.test(policy), policy);
      assert.deepEqual(troubles, []);
    });
  } finally {
    await browser.close();
    house.child.kill("SIGTERM");
    target.server.close();
    if (failed && process.env.HOUSE_LOG) console.log(house.log().slice(-4000));
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed || !passed ? 1 : 0);
}

main().catch((error) => {
  console.error(error);
  console.log("0 passed, 1 failed");
  process.exit(1);
});

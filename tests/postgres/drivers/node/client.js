// node-postgres as a client. `../../clients.py` says what each step has to do and print.

const { once } = require("events");
const { createRequire } = require("module");
const { pipeline } = require("stream/promises");
const { Readable, Writable } = require("stream");

const bring = createRequire(`${process.env.NODE_PATH}/`);
const { Client, Query } = bring("pg");
const { from, to } = bring("pg-copy-streams");

const told = error => ({ error: error.code, words: error.message });

async function read(client) {
  const row = await client.query("SELECT name FROM items WHERE id = 7");
  const rows = await client.query("SELECT id FROM items ORDER BY id");
  return { name: row.rows[0].name, rows: rows.rowCount };
}

async function write(client, mark) {
  let found;
  await client.query("BEGIN");
  try {
    found = { count: (await client.query(`DELETE FROM items WHERE id <= 10 ${mark}`)).rowCount };
    await client.query("COMMIT");
  } catch (error) {
    found = told(error);
    await client.query("ROLLBACK");
  }
  return { ...found, after: (await client.query("SELECT 1 AS one")).rows[0].one };
}

async function prepared(client, mark) {
  const names = [];
  for (const id of [3, 4]) {
    const text = "SELECT name FROM items WHERE id = $1";
    names.push((await client.query({ name: "one", text, values: [id] })).rows[0].name);
  }
  const text = `DELETE FROM items WHERE id = $1 AND name = $2 ${mark}`;
  const done = await client.query({ name: "gone", text, values: [11, "item 11"] });
  return { names, count: done.rowCount };
}

async function copy(client) {
  const lines = Array.from({ length: 1000 }, (_, n) => `${n + 1001}\tcopied ${n + 1001}\n`);
  await pipeline(Readable.from(lines), client.query(from("COPY items (id, name) FROM STDIN")));
  let out = "";
  const sink = new Writable({ write(chunk, _encoding, done) { out += chunk; done(); } });
  const query = "COPY (SELECT id, name FROM items WHERE id > 1000 ORDER BY id) TO STDOUT";
  await pipeline(client.query(to(query)), sink);
  const rows = out.trimEnd().split("\n");
  return { copied: rows.length, last: rows.at(-1).split("\t")[1] };
}

async function cancel(client, mark) {
  let found;
  const query = new Query(`DELETE FROM items WHERE id <= 20 ${mark}`);
  const ended = new Promise((resolve, reject) => {
    query.once("end", resolve);
    query.once("error", reject);
  });
  client.query(query);
  once(process.stdin, "data").then(() => new Client().cancel(client, query));
  try {
    await ended;
    found = { count: query._result.rowCount };
  } catch (error) {
    found = told(error);
  }
  process.stdin.destroy();
  return { ...found, after: (await client.query("SELECT 1 AS one")).rows[0].one };
}

async function main(step, mark) {
  // Everything comes from the environment, as libpq reads it.
  const client = new Client();
  await client.connect();
  console.log(JSON.stringify(await { read, write, prepared, copy, cancel }[step](client, mark)));
  await client.end();
}

main(process.argv[2], process.argv[3]).catch(error => {
  console.error(error);
  process.exitCode = 1;
});

"""asyncpg as a client. `../../clients.py` says what each step has to do and print."""

import asyncio
import io
import json
import sys

import asyncpg


def count(tag):
    """The rows that a command's tag tells of."""
    return int(tag.rsplit(" ", 1)[1])


def told(error):
    return {"error": error.sqlstate, "words": error.message}


async def read(client, _mark):
    name = await client.fetchval("SELECT name FROM items WHERE id = 7")
    return {"name": name, "rows": len(await client.fetch("SELECT id FROM items ORDER BY id"))}


async def write(client, mark):
    try:
        async with client.transaction():
            found = {"count": count(await client.execute(f"DELETE FROM items WHERE id <= 10 {mark}"))}
    except asyncpg.PostgresError as error:
        found = told(error)
    return {**found, "after": await client.fetchval("SELECT 1")}


async def prepared(client, mark):
    statement = await client.prepare("SELECT name FROM items WHERE id = $1")
    names = [await statement.fetchval(n) for n in (3, 4)]
    delete = await client.prepare(f"DELETE FROM items WHERE id = $1 AND name = $2 {mark}")
    await delete.fetch(11, "item 11")
    return {"names": names, "count": count(delete.get_statusmsg())}


async def copy(client, _mark):
    await client.copy_records_to_table("items", records=[(n, f"copied {n}") for n in range(1001, 2001)])
    out = io.BytesIO()
    await client.copy_from_query("SELECT id, name FROM items WHERE id > $1 ORDER BY id", 1000, output=out)
    rows = out.getvalue().decode().splitlines()
    return {"copied": len(rows), "last": rows[-1].split("\t")[1]}


async def cancel(client, mark):
    held = asyncio.ensure_future(client.execute(f"DELETE FROM items WHERE id <= 20 {mark}"))
    asked = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await asyncio.wait([held, asked], return_when=asyncio.FIRST_COMPLETED)
    # The driver asks the server to cancel, and leaves the session usable.
    held.cancel()
    try:
        found = {"count": count(await held)}
    except asyncio.CancelledError:
        found = {}
    return {**found, "after": await client.fetchval("SELECT 1")}


STEPS = {step.__name__: step for step in (read, write, prepared, copy, cancel)}


async def main(step, mark):
    client = await asyncpg.connect(timeout=30)
    try:
        print(json.dumps(await STEPS[step](client, mark)), flush=True)
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))

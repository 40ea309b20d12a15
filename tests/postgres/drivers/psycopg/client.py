"""psycopg 3 as a client. `../../clients.py` says what each step has to do and print."""

import json
import sys
import threading

import psycopg


def connect(**more):
    # Everything else comes from the environment, as libpq reads it.
    return psycopg.connect(connect_timeout=30, **more)


def told(error):
    return {"error": error.sqlstate, "words": error.diag.message_primary}


def read(_mark):
    with connect() as client:
        row = client.execute("SELECT name FROM items WHERE id = 7").fetchone()
        rows = client.execute("SELECT id FROM items ORDER BY id").fetchall()
        return {"name": row[0], "rows": len(rows)}


def write(mark):
    with connect() as client:
        try:
            found = {"count": client.execute(f"DELETE FROM items WHERE id <= 10 {mark}").rowcount}
            client.commit()
        except psycopg.Error as error:
            found = told(error)
            client.rollback()
        return {**found, "after": client.execute("SELECT 1").fetchone()[0]}


def prepared(mark):
    with connect(autocommit=True, prepare_threshold=0) as client:
        names = [client.execute("SELECT name FROM items WHERE id = %s", [n], prepare=True).fetchone()[0] for n in (3, 4)]
        delete = f"DELETE FROM items WHERE id = %s AND name = %s {mark}"
        return {"names": names, "count": client.execute(delete, [11, "item 11"], prepare=True).rowcount}


def copy(_mark):
    with connect(autocommit=True) as client, client.cursor() as cursor:
        with cursor.copy("COPY items (id, name) FROM STDIN") as into:
            for n in range(1001, 2001):
                into.write_row((n, f"copied {n}"))
        with cursor.copy("COPY (SELECT id, name FROM items WHERE id > 1000 ORDER BY id) TO STDOUT") as out:
            rows = list(out.rows())
        return {"copied": len(rows), "last": rows[-1][1]}


def cancel(mark):
    with connect(autocommit=True) as client:
        def ask():
            sys.stdin.readline()
            client.cancel_safe(timeout=30)

        threading.Thread(target=ask, daemon=True).start()
        try:
            found = {"count": client.execute(f"DELETE FROM items WHERE id <= 20 {mark}").rowcount}
        except psycopg.Error as error:
            found = told(error)
        return {**found, "after": client.execute("SELECT 1").fetchone()[0]}


STEPS = {step.__name__: step for step in (read, write, prepared, copy, cancel)}

if __name__ == "__main__":
    print(json.dumps(STEPS[sys.argv[1]](sys.argv[2])), flush=True)

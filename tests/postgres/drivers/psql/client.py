"""psql as a client. `../../clients.py` says what each step has to do and print."""

import json
import re
import signal
import subprocess
import sys
import threading

# `-v VERBOSITY=verbose` shows the SQLSTATE. Debian 12's psql prepares by SQL alone.
PSQL = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "VERBOSITY=verbose"]


def psql(script, cancelled=False):
    """What it printed, line by line, and its first error."""
    child = subprocess.Popen(PSQL, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ask():
        sys.stdin.readline()
        child.send_signal(signal.SIGINT)

    if cancelled:
        threading.Thread(target=ask, daemon=True).start()
    out, err = child.communicate(script)
    error = re.search(r"ERROR:  (\w{5}): (.*)", err)
    return out.splitlines(), {"error": error[1], "words": error[2]} if error else {}


def read(_mark):
    lines, told = psql("SELECT name FROM items WHERE id = 7;\nSELECT id FROM items ORDER BY id;\n")
    return {"name": lines[0], "rows": len(lines) - 1, **told}


def write(mark):
    # `ROW_COUNT` is psql's own; ROLLBACK after COMMIT is a warning.
    lines, told = psql(f"BEGIN;\nDELETE FROM items WHERE id <= 10 {mark};\n\\echo :ROW_COUNT\nCOMMIT;\nSELECT 1;\n")
    counted = {} if told else {"count": int(lines[0])}
    return {**counted, **told, "after": int(lines[-1])}


def prepared(mark):
    lines, told = psql(
        "PREPARE one (int) AS SELECT name FROM items WHERE id = $1;\nEXECUTE one (3);\nEXECUTE one (4);\n"
        "PREPARE gone (int, text) AS DELETE FROM items WHERE id = $1 AND name = $2;\n"
        f"EXECUTE gone (11, 'item 11') {mark};\n\\echo :ROW_COUNT\n")
    return {"names": lines[:2], "count": int(lines[2]), **told}


def copy(_mark):
    data = "".join(f"{n}\tcopied {n}\n" for n in range(1001, 2001))
    lines, told = psql(f"\\copy items FROM STDIN\n{data}\\.\n"
                       "\\copy (SELECT id, name FROM items WHERE id > 1000 ORDER BY id) TO STDOUT\n")
    return {"copied": len(lines), "last": lines[-1].split("\t")[1], **told}


def cancel(mark):
    # psql cancels, and leaves a script that no terminal gives it.
    _, told = psql(f"DELETE FROM items WHERE id <= 20 {mark};\n", cancelled=True)
    return {**told, "after": int(psql("SELECT 1;\n")[0][0])}


STEPS = {step.__name__: step for step in (read, write, prepared, copy, cancel)}

if __name__ == "__main__":
    print(json.dumps(STEPS[sys.argv[1]](sys.argv[2])), flush=True)

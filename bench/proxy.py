"""HTTP through the gate against nginx and HAProxy as plain proxies, and against direct, in one run.

Through the gate every request is authenticated, decided and logged; the proxies only pass bytes on. The upstream is an
nginx that answers from memory. Rounds are interleaved, so that a slow moment of the machine falls on everybody.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
import house
# Benchmarks measure the optimised binary, whatever the tests use.
os.environ["COUNTERSIGN_BIN"] = str(house.ROOT / "target" / "release" / "countersign")
from house import House, call, free_port  # noqa: E402

SECONDS = int(os.environ.get("BENCH_SECONDS", "6"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
POLICY = (Path(__file__).resolve().parents[1] / "policies" / "http.cedar").read_text()


def nginx(folder, name, body):
    path = folder / f"{name}.conf"
    path.write_text(
        f"daemon off; worker_processes 2; pid {folder}/{name}.pid; error_log {folder}/{name}.err;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/{name}-body;\n"
        f"proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u;\n"
        f"scgi_temp_path {folder}/{name}-s; {body} }}\n"
    )
    return subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(path)], stderr=subprocess.DEVNULL)


def haproxy(folder, port, upstream):
    path = folder / "haproxy.cfg"
    path.write_text(
        "global\n nbthread 2\n maxconn 4096\ndefaults\n mode http\n timeout client 60s\n timeout server 60s\n"
        f" timeout connect 5s\n option http-keep-alive\n http-reuse always\nfrontend f\n bind 127.0.0.1:{port}\n default_backend b\n"
        f"backend b\n server s 127.0.0.1:{upstream}\n"
    )
    return subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-f", str(path)], stderr=subprocess.DEVNULL)


def wrk(url, connections, token):
    command = ["wrk", "-t", str(min(2, connections)), "-c", str(connections), "-d", f"{SECONDS}s", "--latency",
               "-H", f"Authorization: Bearer {token}", url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    assert bad is None, out
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))

    def micros(quantile):
        value, unit = re.search(rf"{quantile}%\s+([\d.]+)(us|ms|s)", out).groups()
        return float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]

    return rate, micros(50), micros(99)


def main():
    folder = Path(tempfile.mkdtemp(prefix="countersign-bench-"))
    upstream, proxied, balanced = free_port(), free_port(), free_port()
    started = [
        nginx(folder, "upstream", f"server {{ listen 127.0.0.1:{upstream}; location / {{ return 200 'ok'; }} }}"),
        nginx(folder, "proxy", f"upstream u {{ server 127.0.0.1:{upstream}; keepalive 128; }} server {{ listen 127.0.0.1:{proxied};"
              " location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ''; } }"),
        haproxy(folder, balanced, upstream),
    ]
    config = '[log]\nlevel = "warn"\n'
    try:
        with House(config) as house:
            admin = house.bootstrap()
            agent = house.add_agent(sponsor=admin)
            house.apply_policy(POLICY)
            house.set_route("target", {
                "name": "target", "upstream": f"http://127.0.0.1:{upstream}", "environment": "prod",
                "operations": [{"method": "GET", "path": "/orders/{id}", "resource": "orders/{id}"}],
            })
            time.sleep(0.5)
            peers = {
                "direct": f"http://127.0.0.1:{upstream}/orders/1",
                "nginx": f"http://127.0.0.1:{proxied}/orders/1",
                "HAProxy": f"http://127.0.0.1:{balanced}/orders/1",
                "Countersign": f"{house.http_url}/orders/1",
            }
            token = agent.token()
            for url in peers.values():
                answer = call("GET", url, headers={"Host": url.split("/")[2], "Authorization": f"Bearer {token}"})
                assert answer.status == 200, (url, answer.status, answer.body)
            rows = []
            for connections in (1, 64):
                found = {name: [] for name in peers}
                for _ in range(ROUNDS):
                    for name, url in peers.items():
                        found[name].append(wrk(url, connections, token))
                medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in found.items()}
                base = medians["nginx"][0]
                for name, (rate, p50, p99) in medians.items():
                    rows.append({"connections": connections, "peer": name, "requests_per_s": round(rate),
                                 "of_nginx": round(rate / base, 2), "p50_us": round(p50), "p99_us": round(p99)})
    finally:
        for process in started:
            process.terminate()
    print("| connections | through | requests/s | of nginx | p50 µs | p99 µs |\n|---|---|---|---|---|---|")
    for row in rows:
        print("| {connections} | {peer} | {requests_per_s:,} | {of_nginx} | {p50_us:,} | {p99_us:,} |".format(**row))
    (folder / "proxy.json").write_text(json.dumps(rows))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()

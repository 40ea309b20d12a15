"""The PostgreSQL gate: TLS and credentials, to clients and to the server."""

import os
import socket
import ssl
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from harness import AGENT, PATIENCE, TOKEN, Background, Gate, Raw, kinds, make_certificate, query, refused, until


class Startup:
    def tls_is_negotiated_direct_and_verified(self):
        folder = Path(tempfile.mkdtemp(prefix="countersign-tls-"))
        certificate, key = make_certificate(folder)
        gate = Gate(self.server, "--tls", str(certificate), str(key))
        try:
            full = {"host": "localhost", "sslmode": "verify-full", "sslrootcert": str(certificate)}
            for more in ({}, {"sslnegotiation": "direct"}):
                with gate.psycopg(**full, **more) as client:
                    assert client.pgconn.ssl_in_use
                    assert client.execute("SELECT 1").fetchone() == (1,)
                    call = Background(lambda: client.execute("SELECT pg_sleep(63)"))
                    time.sleep(0.5)
                    client.cancel_safe()
                    try:
                        call.done()
                        raise AssertionError("it was not cancelled")
                    except psycopg.errors.QueryCanceled:
                        pass
            # Direct TLS without the protocol's name.
            context = ssl.create_default_context(cafile=str(certificate))
            with socket.create_connection(("127.0.0.1", gate.port), PATIENCE) as plain:
                tls = context.wrap_socket(plain, server_hostname="localhost")
                raw = Raw.__new__(Raw)
                raw.socket = tls
                refused(raw.end(), "08P01", "FATAL")
        finally:
            gate.stop()

    def a_client_certificate_stands_for_a_password(self):
        folder = Path(tempfile.mkdtemp(prefix="countersign-tls-"))
        certificate, key = make_certificate(folder)
        ours, our_key = make_certificate(Path(tempfile.mkdtemp(prefix="countersign-tls-")))
        others, other_key = make_certificate(Path(tempfile.mkdtemp(prefix="countersign-tls-")))
        our_key.chmod(0o600), other_key.chmod(0o600)
        gate = Gate(self.server, "--tls", str(certificate), str(key), "--clients", str(ours))

        def psql(*more, token=None):
            where = f"host=localhost port={gate.port} user=agent dbname=postgres sslmode=verify-full sslrootcert={certificate}"
            env = {**os.environ, "PGPASSFILE": os.devnull, **({"PGPASSWORD": token} if token else {})}
            return subprocess.run(["psql", "-X", "-w", "-A", "-t", "-c", "SELECT 'in'", " ".join([where, *more])],
                                  capture_output=True, text=True, env=env, timeout=PATIENCE)

        try:
            answer = psql(f"sslcert={ours}", f"sslkey={our_key}")
            assert answer.stdout.strip() == "in", answer.stderr
            # Without one it has to be the password; a certificate of somebody else's is none.
            assert "no password supplied" in psql("sslcert=none").stderr
            assert psql("sslcert=none", token=TOKEN).stdout.strip() == "in"
            answer = psql(f"sslcert={others}", f"sslkey={other_key}", token=TOKEN)
            assert answer.returncode and "alert" in answer.stderr, answer
        finally:
            gate.stop()

    def bytes_before_tls_are_refused(self):
        folder = Path(tempfile.mkdtemp(prefix="countersign-tls-"))
        certificate, key = make_certificate(folder)
        gate = Gate(self.server, "--tls", str(certificate), str(key))
        try:
            raw = gate.raw()
            raw.send(struct.pack("!ii", 8, 80877103) + query("DELETE FROM items"))
            found = raw.end()
            refused(found, "08P01", "FATAL")
            # Behind the answer they are no TLS.
            raw = gate.raw()
            raw.send(struct.pack("!ii", 8, 80877103))
            assert raw.exactly(1) == b"S"
            raw.send(b"Q\0\0\0\x05 ")
            try:
                assert not any(tag == b"R" for tag, _ in raw.end())
            except struct.error:
                pass
        finally:
            gate.stop()

    def credentials_travel_over_tls_or_not_at_all(self):
        ours = [info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
        outside = next((address for address in ours if not address.startswith("127.")), None)
        if outside is None:
            outside = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()[0]
        gate = Gate(self.server, listen="0.0.0.0")
        try:
            raw = Raw(gate.port, host=outside)
            raw.start(AGENT)
            assert raw.first[0] == b"E", "no password was asked for"
            refused([raw.first], "28000", "FATAL")
        finally:
            gate.stop()

    def a_wrong_credential_is_refused(self):
        raw = self.gate.raw().start(AGENT, password="wrong")
        refused(raw.end(), "28P01", "FATAL")

    def a_revoked_credential_ends_its_sessions(self):
        gate = Gate(self.server)
        try:
            raw = gate.raw(startup=AGENT)
            raw.ready()
            (gate.folder / "revoked").write_text("")
            refused(raw.end(), "28000", "FATAL")
        finally:
            gate.stop()

    def the_server_has_to_prove_itself(self):
        server = self.server
        folder = Path(tempfile.mkdtemp(prefix="countersign-tls-"))
        certificate, key = make_certificate(folder)
        other, _ = make_certificate(Path(tempfile.mkdtemp(prefix="countersign-tls-")))
        data = server.data
        for name, file in (("server.crt", certificate), ("server.key", key)):
            (data / name).write_bytes(file.read_bytes())
            (data / name).chmod(0o600)
            if os.geteuid() == 0:
                import shutil
                shutil.chown(data / name, "postgres", "postgres")
        server.sql("ALTER SYSTEM SET ssl = on")
        server.sql("SELECT pg_reload_conf()")
        time.sleep(0.5)
        try:
            good = Gate(server, "--roots", str(certificate), host="localhost")
            bad = Gate(server, "--roots", str(other), host="localhost")
            try:
                with good.psycopg() as client:
                    row = client.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
                    assert row == (True,)
                    call = Background(lambda: client.execute("SELECT pg_sleep(64)"))
                    good.is_asked("pg_sleep(64)")
                    time.sleep(0.3)
                    client.cancel()
                    try:
                        call.done()
                        raise AssertionError("it was not cancelled")
                    except psycopg.errors.QueryCanceled:
                        pass
                try:
                    bad.psycopg()
                    raise AssertionError("another root was taken")
                except psycopg.OperationalError as error:
                    assert "cannot be used" in str(error), error
            finally:
                good.stop()
                bad.stop()
        finally:
            server.sql("ALTER SYSTEM RESET ssl")
            server.sql("SELECT pg_reload_conf()")

    def weak_proofs_are_refused_to_the_server(self):
        server = self.server
        rules = server.data / "pg_hba.conf"
        before = rules.read_text()
        server.sql("SET password_encryption = 'md5'; CREATE ROLE weak LOGIN PASSWORD 'weak'")
        try:
            for method, flag in (("md5", "--md5"), ("trust", "--trust"), ("password", None)):
                rules.write_text(f"host all weak 127.0.0.1/32 {method}\n{before}")
                server.sql("SELECT pg_reload_conf()")
                time.sleep(0.3)
                for flags in ((), (flag,) if flag else ()):
                    gate = Gate(server, *flags, user="weak", password="weak")
                    try:
                        raw = gate.raw(startup=AGENT)
                        if flags:
                            assert kinds(raw.ready()).endswith("Z"), method
                        else:
                            assert "cannot be used" in refused(raw.end(), "08006", "FATAL"), method
                    finally:
                        gate.stop()
        finally:
            rules.write_text(before)
            server.sql("SELECT pg_reload_conf()")
            server.sql("DROP ROLE weak")

    def a_role_is_made_for_a_session_and_dropped_behind_it(self):
        server = self.server
        self.fill()
        server.sql("DROP ROLE IF EXISTS app; CREATE ROLE app; GRANT ALL ON items TO app; GRANT CREATE, USAGE ON SCHEMA public TO app;"
                   "ALTER ROLE app SET search_path = '$user', public; ALTER ROLE app SET my.setting = 'it''s \"mine\"';"
                   "DROP ROLE IF EXISTS maker; CREATE ROLE maker CREATEROLE LOGIN PASSWORD 'm'; GRANT app TO maker WITH ADMIN OPTION")
        made = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'countersign!_made!_%' ESCAPE '!'"
        gate = Gate(server, "--acts-as", "app", user="maker", password="m")
        try:
            with gate.psycopg() as client:
                row = client.execute("SELECT current_user, session_user, current_setting('search_path'), "
                                     "current_setting('my.setting')").fetchone()
                assert row[0] == "app" and row[1].startswith("countersign_made_"), row
                assert row[2:] == ('"$user", public', "it's \"mine\""), row
                client.execute("CREATE TABLE made_by_agent (id int)")
                client.execute("RESET ROLE")
                assert client.execute("SELECT current_user").fetchone() == ("app",)
                kept = server.sql(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{row[1]}'")
                assert kept.startswith("SCRAM-SHA-256$4096:"), kept
                lapses = server.sql(f"SELECT rolvaliduntil - now() < '61 s' FROM pg_roles WHERE rolname = '{row[1]}'")
                assert lapses == "t"
                # One that owns something in its own name is dropped all the same.
                client.execute("SET ROLE NONE")
                client.execute("CREATE TABLE made_by_role (id int)")
            until("the role is gone", lambda: server.sql(made) == "0")
            owners = server.sql("SELECT tableowner FROM pg_tables WHERE tablename LIKE 'made!_by%' ESCAPE '!'").split()
            assert owners == ["app", "app"], owners
            # What a gate leaves behind that is killed is swept by the next.
            raw = gate.raw(startup=AGENT)
            raw.ready()
            left = server.sql(made.replace("count(*)", "rolname"))
            gate.stop()
            until("nobody is signed in", lambda: server.sql(
                f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{left}'") == "0")
            assert server.sql(made) == "1"
            server.sql(f"ALTER ROLE {left} VALID UNTIL '2000-01-01'")
            gate = Gate(server, "--acts-as", "app", user="maker", password="m")
            with gate.psycopg():
                assert server.sql(made.replace("count(*)", f"bool_or(rolname = '{left}')")) == "f", "it was not swept"
            until("that one is gone too", lambda: server.sql(made) == "0")
            # Whoever may not make roles lets nobody in.
            server.sql("ALTER ROLE maker NOCREATEROLE")
            found = gate.raw(startup=AGENT).end()
            assert "makes no role" in refused(found, "08006", "FATAL")
        finally:
            gate.stop()
            server.sql("DROP TABLE IF EXISTS made_by_agent, made_by_role; DROP OWNED BY app; DROP ROLE maker; DROP ROLE app")

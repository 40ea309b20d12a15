"""Debian's Exim as the mail server that takes our mail: it offers STARTTLS and writes what it takes into a maildir."""

import email
import email.policy
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "streams"))
from house import free_port  # noqa: E402
from receivers import certificates  # noqa: E402

CONFIG = """
primary_hostname = localhost
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
spool_directory = {folder}/spool
log_file_path = {folder}/log-%slog
pid_file_path = {folder}/exim.pid
exim_user = {user}
exim_group = {group}
never_users =
tls_advertise_hosts = *
tls_certificate = {folder}/localhost.pem
tls_privatekey = {folder}/localhost.key
acl_smtp_rcpt = rcpt
keep_environment =
disable_ipv6 = true

begin acl
rcpt:
  deny local_parts = nobody
       message = there is nobody of this name
  deny !encrypted = *
       message = say it under TLS
  accept

begin routers
all:
  driver = accept
  transport = file

begin transports
file:
  driver = appendfile
  directory = {folder}/maildir
  maildir_format
  create_directory
  user = {user}
  group = {group}
"""


class MailServer:
    """Exim, in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None
        folder.mkdir()
        certificates(folder)
        os.chmod(folder.parent, 0o755)
        os.chmod(folder, 0o755)
        os.chmod(folder / "localhost.key", 0o644)
        user = pwd.getpwnam("Debian-exim")
        for name in ("spool", "maildir"):
            (folder / name).mkdir()
            os.chown(folder / name, user.pw_uid, user.pw_gid)
        os.chown(folder, user.pw_uid, user.pw_gid)
        self.config = folder / "exim.conf"
        self.config.write_text(CONFIG.format(port=self.port, folder=folder, user="Debian-exim", group="Debian-exim"))
        os.chown(self.config, 0, 0)
        os.chmod(self.config, 0o644)

    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/exim4", "-C", str(self.config), "-bdf"], stderr=subprocess.PIPE)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self.process.poll() is not None:
                raise AssertionError(f"the mail server ended: {self.process.stderr.read()!r}")
            time.sleep(0.05)
        raise AssertionError("the mail server does not listen")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)

    def mail(self, to=None):
        """Every mail that was taken, oldest first."""
        found = []
        for path in (self.folder / "maildir").glob("new/*"):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if to is None or to in message["to"]:
                found.append((path.stat().st_mtime, message))
        return [message for _, message in sorted(found, key=lambda pair: pair[0])]

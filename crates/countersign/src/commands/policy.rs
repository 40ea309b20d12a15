//! `countersign policy`. Checking and testing need no gateway.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use domain::commitment::Disclosure;
use domain::digest::Blob;
use domain::directory::{Directory, DirectoryEvent, Passkey};
use domain::evaluation::Evaluation;
use domain::event::Event;
use domain::id::PersonId;
use domain::receipt::Receipt;
use domain::time::Timestamp;
use policy::{PolicySet, Severity, run_fixtures};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Context, lookup, propose};
use crate::cli::{Ending, Usage};
use crate::output::{Output, Tone, note, one_line, when};

/// How many imagined people each group has where no directory is at hand: as many as a hold can ask for.
const IMAGINED_MEMBERS: u8 = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Print the policy that decides
    Show,
    /// Write the policy that decides into a file, for Git
    Export {
        /// The file, replaced where it stands; standard output where it is not given
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Apply a policy
    Apply {
        /// The Cedar file
        file: PathBuf,
    },
    /// Check a policy: against the deployment where somebody is signed in, else by itself
    Check {
        /// The Cedar file
        file: PathBuf,
        /// Ask no gateway
        #[arg(long)]
        offline: bool,
    },
    /// Run a policy's test cases, offline
    Test {
        /// The cases (TOML); a Cedar file among them is the policy
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The Cedar file
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Say why a request is held, and what would make it run
    Explain {
        /// The request: its id, or the beginning or end of it
        id: String,
    },
    /// Print the Cedar schema that policies are written against
    Schema,
}

pub(crate) async fn run(policy: &Policy, context: &Context) -> anyhow::Result<Ending> {
    match policy {
        Policy::Show => show(context).await,
        Policy::Export { output } => export(output.as_deref(), context).await,
        Policy::Apply { file } => apply(file, context).await,
        Policy::Check { file, offline } => check(file, *offline, context).await,
        Policy::Test { files, policy } => test(files, policy.as_deref(), context.output),
        Policy::Explain { id } => explain(id, context).await,
        Policy::Schema => {
            context.output.line(policy::schema::text().trim_end());
            Ok(Ending::Fine)
        }
    }
}

async fn show(context: &Context) -> anyhow::Result<Ending> {
    let answer = context.signed_in()?.get("/v1/policy").await?;
    if context.output.json {
        context.output.json(&answer);
        return Ok(Ending::Fine);
    }
    let text = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() {
        context.output.line("no policy is applied yet, so everything is denied");
        return Ok(Ending::Fine);
    }
    let digest = answer.get("digest").and_then(Value::as_str).unwrap_or_default();
    let since = answer.get("since").and_then(Value::as_u64).map(Timestamp::from_micros).map(when);
    note(&format!("policy {digest}, since {}", since.unwrap_or_default()));
    context.output.line(domain::text::visible(text).trim_end());
    Ok(Ending::Fine)
}

async fn export(output: Option<&Path>, context: &Context) -> anyhow::Result<Ending> {
    let answer = context.signed_in()?.get("/v1/policy").await?;
    let text = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    match output {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
            note(&format!("wrote `{}`", path.display()));
        }
        // As it is: whoever redirects this wants the exact text.
        None => context.output.line(text.trim_end()),
    }
    Ok(Ending::Fine)
}

async fn apply(file: &Path, context: &Context) -> anyhow::Result<Ending> {
    let text = read(file)?;
    if let Err(findings) = load(&text) {
        return Ok(say(&findings, file, context.output));
    }
    let what = format!("apply `{}`", file.display());
    let body = json!({ "text": text });
    propose::propose(context, &context.signed_in()?, Method::PUT, "/v1/policy", Some(&body), &what).await
}

async fn check(file: &Path, offline: bool, context: &Context) -> anyhow::Result<Ending> {
    let text = read(file)?;
    let client = context.signed_in()?;
    let findings = if offline || !client.has_bearer() {
        if !offline {
            note(
                "nobody is signed in, so the policy is checked by itself; `countersign login` to hold it against your people",
            );
        }
        match load(&text) {
            Ok(set) => findings(&set, &imagined(&set)),
            Err(findings) => findings,
        }
    } else {
        let answer =
            client.send(Method::POST, "/v1/policy/check", Some(&json!({ "text": text })), &[]).await?;
        lookup::list(&answer, "findings").cloned().collect()
    };
    Ok(say(&findings, file, context.output))
}

/// Loads a set, or says what is wrong with it as the API would.
fn load(text: &str) -> Result<PolicySet, Vec<Value>> {
    PolicySet::load(text).map_err(|errors| {
        let finding = |error: policy::LoadError| {
            let message = if error.help.is_empty() { error.message } else { format!("{}; {}", error.message, error.help) };
            json!({
                "severity": "error", "rule": error.rule, "line": error.line, "column": error.column, "message": message,
            })
        };
        errors.into_iter().map(finding).collect()
    })
}

fn findings(set: &PolicySet, directory: &Directory) -> Vec<Value> {
    let word = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let finding = |finding: policy::Finding| {
        json!({
            "severity": word(finding.severity), "rule": finding.rule, "line": finding.line, "column": null,
            "message": finding.message,
        })
    };
    set.check(directory).into_iter().map(finding).collect()
}

/// A directory in which every group that the set asks has people enough: by itself, a set says nothing of people.
fn imagined(set: &PolicySet) -> Directory {
    let mut directory = Directory::default();
    let mut apply = |event| drop(directory.apply(&event, Timestamp::ZERO));
    let groups: Vec<_> = set
        .rules()
        .filter_map(policy::Rule::terms)
        .flat_map(|terms| terms.ways().into_iter().map(|quorum| quorum.group))
        .chain([domain::id::GroupName::admins()])
        .collect();
    for number in 0..IMAGINED_MEMBERS {
        let id = PersonId::new(Timestamp::ZERO, &[number; 10]);
        let key = Passkey {
            credential_id: Blob(vec![number]),
            public_key: Blob(Vec::new()),
            rp_id: String::new(),
            origin: String::new(),
            label: "imagined".to_owned(),
        };
        apply(DirectoryEvent::PersonAdded { id, name: format!("imagined {number}") });
        apply(DirectoryEvent::KeyEnrolled { person: id, key });
        for group in &groups {
            apply(DirectoryEvent::GroupJoined { group: group.clone(), person: id });
        }
    }
    directory
}

fn say(findings: &[Value], file: &Path, output: Output) -> Ending {
    let text = |finding: &Value, name: &str| {
        finding.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let wrong = findings.iter().any(|finding| text(finding, "severity") == "error");
    let ending = if wrong { Ending::No } else { Ending::Fine };
    if output.json {
        output.json(&json!({ "file": file.display().to_string(), "findings": findings }));
        return ending;
    }
    for finding in findings {
        let severity = text(finding, "severity");
        let tone = match severity.as_str() {
            "error" => Tone::Bad,
            "warning" => Tone::Warn,
            _ => Tone::Dim,
        };
        let number = |name: &str| finding.get(name).and_then(Value::as_u64);
        let mut place = file.display().to_string();
        for number in [number("line"), number("column")].into_iter().flatten() {
            place.push_str(&format!(":{number}"));
        }
        let rule =
            finding.get("rule").and_then(Value::as_str).map(|rule| format!(" `{rule}`")).unwrap_or_default();
        let said = one_line(&format!("{rule} {}", text(finding, "message")));
        output.line(&format!("{place}: {}:{said}", output.paint(&severity, tone)));
    }
    if !wrong {
        let said = format!("`{}` is a good policy", file.display());
        output.line(&output.paint(&said, Tone::Good));
    }
    ending
}

fn test(files: &[PathBuf], policy: Option<&Path>, output: Output) -> anyhow::Result<Ending> {
    let is_cedar = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "cedar");
    let named: Vec<&Path> =
        policy.into_iter().chain(files.iter().filter(is_cedar).map(PathBuf::as_path)).collect();
    let [policy] = named.as_slice() else {
        bail!(Usage("name one policy, as `--policy FILE.cedar`, and its cases".to_owned()));
    };
    let set = match load(&read(policy)?) {
        Ok(set) => set,
        Err(findings) => return Ok(say(&findings, policy, output)),
    };
    let mut results = Vec::new();
    for file in files.iter().filter(|file| !is_cedar(file)) {
        results.extend(run_fixtures(&read(file)?, &set));
    }
    if results.is_empty() {
        bail!(Usage("name a file with cases (TOML); policies/http.test.toml shows how".to_owned()));
    }
    let failed = results.iter().filter(|result| !result.passed()).count();
    if output.json {
        let results = results.iter().map(|result| {
            json!({ "name": result.name, "passed": result.passed(), "differences": result.differences, "explanation": result.explanation })
        });
        output.json(&results.collect());
    } else {
        for result in &results {
            let (word, tone) = if result.passed() { ("ok  ", Tone::Good) } else { ("FAIL", Tone::Bad) };
            output.line(&format!("{}  {}", output.paint(word, tone), one_line(&result.name)));
            if !result.passed() {
                for line in
                    result.differences.iter().chain([&result.explanation]).flat_map(|text| text.lines())
                {
                    output.line(&format!("      {}", one_line(line)));
                }
            }
        }
        let tone = if failed == 0 { Tone::Good } else { Tone::Bad };
        output.line(&output.paint(&format!("{} passed, {failed} failed", results.len() - failed), tone));
    }
    Ok(if failed == 0 { Ending::Fine } else { Ending::No })
}

async fn explain(id: &str, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let id = lookup::approval(&client, id).await?;
    let receipt = client.get(&format!("/v1/approvals/{id}/receipt")).await?;
    let receipt: Receipt = serde_json::from_value(receipt).context("the gateway is of another version")?;
    let evaluation = last_evaluation(&receipt).context("the request's evaluation was erased")?;
    if context.output.json {
        context.output.json(&serde_json::to_value(&evaluation)?);
    } else {
        let directory = lookup::directory(&client).await?;
        for line in policy::explain(&evaluation, &directory).lines() {
            context.output.line(&one_line(line));
        }
    }
    Ok(Ending::Fine)
}

/// What policy answered last, out of the approval's entries.
fn last_evaluation(receipt: &Receipt) -> Option<Evaluation> {
    let fields = receipt.entries.iter().flat_map(|entry| &entry.fields).rev();
    let events = fields.filter_map(|field| match field {
        Disclosure::Open(open) if open.path == "event" => {
            domain::canonical::read::<Event>(&open.value.0).ok()
        }
        Disclosure::Open(_) | Disclosure::Withheld(_) => None,
    });
    let mut evaluations = events.filter_map(|event| match event {
        Event::Requested { evaluation, .. }
        | Event::Reevaluated { evaluation }
        | Event::Redeemed { evaluation, .. } => Some(evaluation),
        Event::Reviewed { .. }
        | Event::Asked { .. }
        | Event::Answered { .. }
        | Event::Withdrawn { .. }
        | Event::Dismissed { .. }
        | Event::Expired {}
        | Event::Cancelled { .. }
        | Event::Finished { .. }
        | Event::LaterReviewed { .. } => None,
    });
    evaluations.next()
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))
}

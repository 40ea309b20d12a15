//! `countersign-verify`: verifies a receipt or a bundle, offline.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use serde_json::json;
use verify::{FINGERPRINT_PREFIX, Trust, Verdict, Verified, population, verify_bundle, verify_file};

/// The largest trust file, in bytes.
const TRUST_LIMIT_BYTES: u64 = 262_144;
/// The most cases that are listed, and that `--json` carries; `--csv` has no limit.
const CASES_SHOWN: usize = 1_000;
/// So many cases are told in full unless `--full` asks for all.
const CASES_IN_FULL: usize = 3;

const HELP: &str = "\
Verifies receipts and bundles of Countersign: no network, no gateway, nothing but the file and what you trust.

Usage: countersign-verify FILE --trust FILE [OPTIONS]

  FILE                    a receipt (.json) or a bundle (.tar); `-` reads standard input

What you trust, received another way than the file:
  --trust FILE            the log's keys, its witnesses and how many of them must have cosigned (C2SP tlog-policy);
                          or a file that holds the log's verifier key alone
  --log-key VKEY          the log's verifier key itself, `<origin>+<8 hex digits>+<base64>`
  --rp-id HOST            every passkey must have been enrolled for this relying party
  --web-origin ORIGIN     every passkey must have signed at this origin; may be given more than once
  --bootstrap-key KEY     the first administrator's key: its fingerprint `SHA256:...`, or a file that begins with it;
                          without it, the log is taken at its word for that key

What you see:
  --full                  every case in full, not only in one line
  --csv FILE              write a bundle's cases as a table, made from what was proven
  --json                  the report as JSON
  -h, --help              this help
  -V, --version           the version

Exit codes:
  0  valid: everything that is shown is proven
  1  invalid: something is wrong; do not rely on any of it
  2  indeterminate: nothing is wrong with what is there, but something that is needed is withheld or missing
  3  nothing was verified: wrong usage, or a file that cannot be read

What a receipt or bundle proves, and what it cannot, is written in docs/verifying.md.
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // Nobody to tell it to is no other outcome.
            let _ = writeln!(io::stderr(), "countersign-verify: {error}");
            ExitCode::from(3)
        }
    }
}

/// What was asked on the command line.
#[derive(Default)]
struct Options {
    file: Option<String>,
    trust: Option<String>,
    log_key: Option<String>,
    rp_id: Option<String>,
    web_origins: Vec<String>,
    bootstrap: Option<String>,
    csv: Option<String>,
    full: bool,
    json: bool,
}

fn run() -> Result<ExitCode, String> {
    let Some(options) = read_options(std::env::args().skip(1))? else { return Ok(ExitCode::SUCCESS) };
    let trust = read_trust(&options)?;
    let file = options.file.as_deref().ok_or("which file? See --help")?;
    let verified = verify_file(open(file)?, &trust, CASES_SHOWN).map_err(|error| unread(file, &error))?;
    let text = if options.json { as_json(&verified)? } else { as_text(&verified, options.full) };
    // A reader that has gone (`| head`) takes nothing from the verdict.
    let _ = io::stdout().write_all(text.as_bytes());
    if let Some(table) = &options.csv {
        write_table(file, table, &trust, &verified)?;
    }
    Ok(match verified.verdict() {
        Verdict::Valid => ExitCode::SUCCESS,
        Verdict::Invalid => ExitCode::from(1),
        Verdict::Indeterminate => ExitCode::from(2),
    })
}

/// Reads the command line; `None` where it asked for help.
fn read_options(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value; see --help"));
        match word.as_str() {
            "-h" | "--help" => {
                let _ = io::stdout().write_all(HELP.as_bytes());
                return Ok(None);
            }
            "-V" | "--version" => {
                let _ = writeln!(io::stdout(), "countersign-verify {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            "--trust" => options.trust = Some(value()?),
            "--log-key" => options.log_key = Some(value()?),
            "--rp-id" => options.rp_id = Some(value()?),
            "--web-origin" => options.web_origins.push(value()?),
            "--bootstrap-key" => options.bootstrap = Some(value()?),
            "--csv" => options.csv = Some(value()?),
            "--full" => options.full = true,
            "--json" => options.json = true,
            unknown if unknown.starts_with("--") => {
                return Err(format!("there is no `{unknown}`; see --help"));
            }
            _ if options.file.is_none() => options.file = Some(word),
            _ => return Err("one file at a time; see --help".to_owned()),
        }
    }
    Ok(Some(options))
}

fn read_trust(options: &Options) -> Result<Trust, String> {
    let mut trust = match (&options.trust, &options.log_key) {
        (Some(path), None) => {
            let mut bytes = Vec::new();
            File::open(path)
                .and_then(|file| file.take(TRUST_LIMIT_BYTES + 1).read_to_end(&mut bytes))
                .map_err(|error| unread(path, &error))?;
            Trust::read(&bytes).map_err(|error| format!("`{path}`: {error}"))?
        }
        (None, Some(key)) => Trust::read(key.as_bytes()).map_err(|error| error.to_string())?,
        (Some(_), Some(_)) => return Err("give `--trust` or `--log-key`, not both".to_owned()),
        (None, None) => return Err("whose log is trusted? Give `--trust FILE`; see --help".to_owned()),
    };
    trust.rp_id.clone_from(&options.rp_id);
    trust.bootstrap = options.bootstrap.as_deref().map(read_bootstrap).transpose()?;
    trust.web_origins = (!options.web_origins.is_empty()).then(|| options.web_origins.clone());
    Ok(trust)
}

/// A fingerprint, or a file that begins with one.
fn read_bootstrap(word: &str) -> Result<String, String> {
    if word.starts_with(FINGERPRINT_PREFIX) {
        return Trust::read_bootstrap(word);
    }
    let mut text = String::new();
    File::open(word)
        .and_then(|file| file.take(TRUST_LIMIT_BYTES).read_to_string(&mut text))
        .map_err(|error| unread(word, &error))?;
    Trust::read_bootstrap(&text).map_err(|error| format!("`{word}`: {error}"))
}

fn open(path: &str) -> Result<Box<dyn Read>, String> {
    if path == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    File::open(path).map(|file| Box::new(file) as Box<dyn Read>).map_err(|error| unread(path, &error))
}

fn unread(path: &str, error: &io::Error) -> String {
    format!("cannot read `{path}`: {error}")
}

fn as_json(verified: &Verified) -> Result<String, String> {
    let value = match verified {
        Verified::Receipt(report) => json!({ "receipt": report }),
        Verified::Bundle { report, cases, more } => {
            json!({ "bundle": report, "cases": cases, "cases_not_told": more })
        }
    };
    serde_json::to_string_pretty(&value).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn as_text(verified: &Verified, full: bool) -> String {
    match verified {
        Verified::Receipt(report) => report.render(),
        Verified::Bundle { report, cases, more } => {
            let mut text = report.render();
            for case in cases {
                text.push('\n');
                match &case.summary {
                    Some(summary) if full || cases.len() <= CASES_IN_FULL => {
                        text.push_str(&summary.to_string())
                    }
                    Some(_) | None => text.push_str(&case.line()),
                }
            }
            if !cases.is_empty() {
                text.push('\n');
            }
            if *more > 0 {
                text.push_str(&format!("and {more} more cases, which `--csv FILE` lists\n"));
            }
            text
        }
    }
}

/// Reads the bundle again, now that the verdict is known, and writes its cases.
fn write_table(file: &str, table: &str, trust: &Trust, verified: &Verified) -> Result<(), String> {
    let Verified::Bundle { report, .. } = verified else {
        return Err("`--csv` is for bundles".to_owned());
    };
    if report.verdict == Verdict::Invalid {
        return Err("no table was written: the bundle is invalid".to_owned());
    }
    if file == "-" {
        return Err("`--csv` reads the bundle twice: give it as a file".to_owned());
    }
    let failed = |error: &io::Error| format!("cannot write `{table}`: {error}");
    let mut out = io::BufWriter::new(File::create(table).map_err(|error| failed(&error))?);
    let mut written = out.write_all(population::heading().as_bytes());
    let again = verify_bundle(open(file)?, trust, |case| {
        if written.is_ok() {
            written = out.write_all(population::line(&case).as_bytes());
        }
    });
    written.and_then(|()| out.flush()).map_err(|error| failed(&error))?;
    if again == **report {
        Ok(())
    } else {
        Err(format!("`{file}` was changed while it was read: do not use `{table}`"))
    }
}

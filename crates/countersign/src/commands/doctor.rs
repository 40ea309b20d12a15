//! `countersign doctor`: what is in order on this machine, what is not, and what to do about it.
//!
//! It reads the bootstrap file's deployment. A stopped gateway's store is opened and read whole; a running one's is
//! left to it, and what stands in it is asked over the API.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::directory::Directory;
use domain::id::CredentialRef;
use policy::{PolicySet, Severity};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::{Context, lookup, now_micros};
use crate::cli::Ending;
use crate::client::Client;
use crate::config::Config;
use crate::output::{Output, Tone, one_line, relative, waiting, when};
use crate::postgres::Document;
use crate::{keys, up};

/// How long an upstream may take to take a connection.
const UPSTREAM_PATIENCE: Duration = Duration::from_secs(3);
/// How far the log's head may be ahead of this machine's clock before the clock is doubted, in microseconds.
const CLOCK_TOLERANCE_MICROS: u64 = 60_000_000;
/// 2025-01-01 in microseconds: no machine that runs this is older.
const CLOCK_FLOOR_MICROS: u64 = 1_735_689_600_000_000;
/// How long the store may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Warn,
            Self::Fail => Tone::Bad,
        }
    }
}

/// One finding.
struct Line {
    state: State,
    what: &'static str,
    said: String,
}

/// The findings so far; each is said as soon as it is known.
struct Report {
    output: Output,
    lines: Vec<Line>,
}

impl Report {
    fn say(&mut self, state: State, what: &'static str, said: impl AsRef<str>) {
        let said = one_line(said.as_ref());
        if !self.output.json {
            let word = self.output.paint(&format!("{:4}", state.word()), state.tone());
            self.output.line(&format!("{word}  {what:12}  {said}"));
        }
        self.lines.push(Line { state, what, said });
    }

    fn ok(&mut self, what: &'static str, said: impl AsRef<str>) {
        self.say(State::Ok, what, said);
    }

    fn warn(&mut self, what: &'static str, said: impl AsRef<str>) {
        self.say(State::Warn, what, said);
    }

    fn fail(&mut self, what: &'static str, said: impl AsRef<str>) {
        self.say(State::Fail, what, said);
    }

    fn end(&self) -> Ending {
        if self.output.json {
            let lines = self
                .lines
                .iter()
                .map(|line| json!({ "state": line.state.word(), "what": line.what, "said": line.said }));
            self.output.json(&lines.collect());
        }
        match self.lines.iter().map(|line| line.state).max() {
            Some(State::Fail) => Ending::No,
            Some(State::Warn | State::Ok) | None => Ending::Fine,
        }
    }
}

/// What the deployment knows: from its store, or from the gateway that has it open.
struct Known {
    directory: Directory,
    now: Option<domain::time::Timestamp>,
}

pub(crate) async fn run(context: &Context) -> anyhow::Result<Ending> {
    let mut report = Report { output: context.output, lines: Vec::new() };
    let config = match context.config() {
        Ok(config) => config,
        Err(error) => {
            report.fail("config", format!("{error:#}; correct it, or name another file with `--config`"));
            return Ok(report.end());
        }
    };
    report.ok("config", format!("reads; store in `{}`", config.store.folder.display()));
    public_url(&config, &mut report);
    keys_are_private(&config, &mut report);
    secrets(&config, &mut report);
    let answered = answers(&config).await;
    addresses(&config, answered, &mut report).await;
    let known = store(&config, context, answered, &mut report).await;
    clock(known.as_ref(), &mut report);
    if let Some(known) = known {
        routes(&known.directory, &config, &mut report).await;
        policy(&known.directory, &mut report);
        people(&known.directory, &mut report);
    }
    Ok(report.end())
}

fn public_url(config: &Config, report: &mut Report) {
    match identity::relying_party(&config.public_url) {
        Ok(party) => {
            report.ok("public_url", format!("`{}`: passkeys belong to `{}`", config.public_url, party.id))
        }
        Err(error) => report.fail("public_url", error.to_string()),
    }
    match config.trusted_proxies() {
        Ok(_) if config.hides_its_peers() => report.warn(
            "proxies",
            "none is trusted, so everybody behind the proxy is one peer to the limits on tries; name it in \
             `listen.trusted_proxies`",
        ),
        Ok(_) => {}
        Err(error) => report.fail("proxies", format!("{error:#}")),
    }
}

fn keys_are_private(config: &Config, report: &mut Report) {
    let folder = &config.keys.folder;
    if !folder.exists() {
        return report.warn(
            "keys",
            format!("`{}` is not there yet; the first `countersign up` makes it", folder.display()),
        );
    }
    let names = ["log.key", "seal.key", "retry.key", "token.key"];
    let missing: Vec<_> = names.iter().filter(|name| !folder.join(name).exists()).copied().collect();
    if !missing.is_empty() && up::require_store(config).is_ok() {
        let said = format!(
            "{} missing from `{}`; restore from your copy of the keys",
            missing.join(", "),
            folder.display()
        );
        return report.fail("keys", said);
    }
    let open = names
        .iter()
        .map(|name| folder.join(name))
        .filter(|path| path.exists())
        .find_map(|path| keys::check_private(&path).err());
    match open {
        Some(error) => report.fail("keys", format!("{error:#}")),
        None => report.ok("keys", format!("in `{}`, readable by you alone", folder.display())),
    }
}

fn secrets(config: &Config, report: &mut Report) {
    match config.read_secrets() {
        Ok(secrets) if secrets.is_empty() => report.ok("secrets", "none are named"),
        Ok(secrets) => report.ok("secrets", format!("{} resolve", secrets.len())),
        Err(error) => report.fail("secrets", format!("{error:#}")),
    }
}

/// Whether a gateway of ours answers at the console's address.
async fn answers(config: &Config) -> bool {
    let url = format!("http://{}", config.listen.console);
    let Ok(client) = Client::anonymous(Some(&url)) else { return false };
    client.is_gateway().await
}

async fn addresses(config: &Config, answered: bool, report: &mut Report) {
    let places = [
        ("listen.console", Some(config.listen.console)),
        ("listen.http", Some(config.listen.http)),
        ("postgres.listen", config.postgres.as_ref().map(|point| point.listen)),
    ];
    let what = "listen";
    for (setting, address) in places {
        let Some(address) = address else { continue };
        let name = setting.trim_start_matches("listen.").trim_end_matches(".listen");
        match (TcpListener::bind(address).await, answered) {
            (Ok(_), _) => report.ok(what, format!("{name} {address} is free")),
            (Err(_), true) => report.ok(what, format!("{name} {address} is taken, and a gateway runs")),
            (Err(error), false) => {
                report.fail(
                    what,
                    format!("{name} {address} cannot be used: {error}; free it or set `{setting}`"),
                );
            }
        }
    }
}

async fn store(config: &Config, context: &Context, answered: bool, report: &mut Report) -> Option<Known> {
    let database = up::database(config);
    let place = match config.database_url() {
        Ok(Some(url)) => url.to_string(),
        Ok(None) => database.display().to_string(),
        Err(error) => {
            report.fail("store", format!("{error:#}"));
            return None;
        }
    };
    if config.store.postgres.is_none() && !database.exists() {
        let lost = config.keys.folder.join("log.key").exists() && up::anchor(config).exists();
        if lost {
            let said = format!(
                "`{}` is gone, and its keys are here; run `countersign backup restore FILE`",
                database.display()
            );
            report.fail("store", said);
        } else {
            report.warn(
                "store",
                format!("`{}` is not there yet; the first `countersign up` makes it", database.display()),
            );
        }
        return None;
    }
    if answered {
        report.ok("store", "in use by the gateway that runs");
        return ask(config, context, report).await;
    }
    if config.store.postgres.is_some() && !config.keys.folder.join(keys::LOG_KEY).exists() {
        report.warn(
            "store",
            format!(
                "`{place}` is not looked at before there are keys; the first `countersign up` makes them"
            ),
        );
        return None;
    }
    let opened = match up::open_store(config, None).await {
        Ok(opened) => opened,
        Err(error) => {
            report.fail("store", format!("{error:#}"));
            return None;
        }
    };
    report.ok("store", format!("`{place}` opens"));
    match waiting("reading the whole log", opened.store.audit()).await {
        Ok(head) => {
            report.ok(
                "log",
                format!("{} entries hash to what was signed, the last {}", head.size, when(head.time)),
            );
        }
        Err(error) => report
            .fail("log", format!("{error}; stop, keep a copy of everything, and find out who changed it")),
    }
    let known = Known {
        directory: Directory::clone(&opened.store.directory()),
        now: opened.store.head().await.ok().map(|head| head.time),
    };
    opened.store.close(CLOSE_PATIENCE).await;
    Some(known)
}

/// The same from the gateway that has the store open.
async fn ask(config: &Config, context: &Context, report: &mut Report) -> Option<Known> {
    let url = context.url().map_or_else(|| config.public_url.clone(), ToOwned::to_owned);
    let client = Client::signed_in(Some(&url)).ok()?;
    if !client.has_bearer() {
        report.warn("directory", format!("sign in to look further: `countersign login --url {url}`"));
        return None;
    }
    match lookup::directory(&client).await {
        Ok(directory) => Some(Known { directory, now: None }),
        Err(error) => {
            report.warn("directory", format!("could not look further: {error:#}"));
            None
        }
    }
}

fn clock(known: Option<&Known>, report: &mut Report) {
    let now = domain::time::Timestamp::from_micros(now_micros());
    let head = known.and_then(|known| known.now);
    match head {
        _ if now.micros() < CLOCK_FLOOR_MICROS => {
            report.fail("clock", format!("this machine believes it is {}; set its clock", when(now)));
        }
        Some(head) if head.micros() > now.micros().saturating_add(CLOCK_TOLERANCE_MICROS) => {
            let said =
                format!("the log's last entry is {} by this machine's clock; set the clock", relative(head));
            report.fail("clock", said);
        }
        Some(_) | None => report.ok("clock", format!("{} on this machine", when(now))),
    }
}

async fn routes(directory: &Directory, config: &Config, report: &mut Report) {
    let mut wanted: BTreeSet<CredentialRef> = BTreeSet::new();
    let mut any = false;
    for (name, document) in directory.routes() {
        any = true;
        let route = match Document::parse_json(&document.text) {
            Ok(route) => route,
            Err(error) => {
                report.fail("route", format!("`{name}` does not read: {error}; set it anew"));
                continue;
            }
        };
        wanted.extend(route.secret().cloned());
        let (place, setting) = route.place();
        match tokio::time::timeout(UPSTREAM_PATIENCE, TcpStream::connect(&place)).await {
            Ok(Ok(_)) => report.ok("route", format!("`{name}` reaches {place}")),
            Ok(Err(error)) => report.warn(
                "route",
                format!("`{name}` does not reach {place}: {error}; start it, or correct `{setting}`"),
            ),
            Err(_) => report.warn(
                "route",
                format!(
                    "`{name}` does not reach {place}: no answer; look at the network, or correct `{setting}`"
                ),
            ),
        }
    }
    if !any {
        report.warn("route", "there is none; set one with `countersign route set FILE.toml`");
    }
    for secret in wanted.iter().filter(|secret| !config.secrets.contains_key(*secret)) {
        report.fail(
            "secrets",
            format!("a route wants `{secret}`; name it under `[secrets]` in countersign.toml"),
        );
    }
}

fn policy(directory: &Directory, report: &mut Report) {
    let Some(document) = directory.policy() else {
        return report
            .warn("policy", "none is applied, so everything is denied; run `countersign policy apply FILE`");
    };
    let set = match PolicySet::load(&document.text) {
        Ok(set) => set,
        Err(errors) => {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            return report.fail("policy", format!("the applied set does not load: {first}"));
        }
    };
    let mut calm = true;
    for finding in set.check(directory) {
        let rule = finding.rule.as_ref().map(|rule| format!("`{rule}`: ")).unwrap_or_default();
        match finding.severity {
            Severity::Error => report.fail("policy", format!("{rule}{}", finding.message)),
            Severity::Warning => report.warn("policy", format!("{rule}{}", finding.message)),
            Severity::Note => continue,
        }
        calm = false;
    }
    if calm {
        report.ok(
            "policy",
            format!(
                "{} rules; every hold can be lifted",
                set.rules().filter(|rule| rule.line.is_some()).count()
            ),
        );
    }
}

fn people(directory: &Directory, report: &mut Report) {
    let enrolled = directory.active_people().filter(|person| !person.keys.is_empty()).count();
    match enrolled {
        0 => report.warn("people", "nobody has a passkey yet; open the link that `countersign up` prints"),
        1 => report.warn(
            "people",
            "one person is all there is: receipts say `separation: none`; invite a second one",
        ),
        more => report.ok("people", format!("{more} with passkeys")),
    }
}

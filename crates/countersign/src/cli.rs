//! The command line's grammar, its help, and how a command ends.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::client::ClientError;
use crate::commands as of;
use crate::output::note;
use crate::up;

/// What every command ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is done, or the answer is yes.
    Fine,
    /// Refused, denied, invalid: the answer is no.
    No,
    /// Nobody can say yet, or with what is there.
    Open,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Fine => Self::SUCCESS,
            Ending::No => Self::from(1),
            Ending::Open => Self::from(2),
        }
    }
}

/// The way a command was called is wrong: exit code 2, as for what clap finds.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

const EXIT_CODES: &str = "\
Exit codes:
  0  done, valid, or allowed
  1  refused, denied, or invalid
  2  wrong usage, or nobody can say (yet)
  3  the gateway cannot be reached";

/// The commands under their headings, in the order of the help.
const HEADINGS: &[(&str, &[&str])] = &[
    ("Run a gateway", &["up", "doctor", "backup", "keys"]),
    ("Sign in", &["login", "logout", "whoami"]),
    (
        "Ask, and review",
        &[
            "request",
            "inbox",
            "show",
            "deliveries",
            "approve",
            "deny",
            "ask",
            "look-back",
            "answer",
            "cancel",
        ],
    ),
    ("People, agents, rules", &["person", "group", "agent", "route", "policy"]),
    ("Proof", &["audit", "witness"]),
    ("Reference", &["verbs", "openapi", "slack", "teams", "completions"]),
];

/// Holds the dangerous actions of AI agents until the right people approve them.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// The gateway's address [default: the last that was signed in to, else http://localhost:7676]
    #[arg(long, global = true, value_name = "URL", env = "COUNTERSIGN_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// The bootstrap file, for what runs or reads a gateway here [default: countersign.toml, where it is there]
    #[arg(long, global = true, value_name = "FILE", env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print the API's JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway
    Up(up::Options),
    /// Check that everything is in order
    Doctor,
    /// Copy the store, and put a copy back
    #[command(subcommand)]
    Backup(of::backup::Backup),
    /// Give the log a new key
    #[command(subcommand)]
    Keys(of::keys::Keys),

    /// Let this command line act for you
    Login(of::login::Options),
    /// End this command line's session
    Logout,
    /// Say who is signed in
    Whoami,

    /// Ask, as an agent, whether an action may run
    Request(Box<of::request::Options>),
    /// List what waits for people
    Inbox(of::inbox::Options),
    /// Show a request as its reviewers see it
    Show(of::show::Options),
    /// List where requests were brought to people, and whether they arrived
    Deliveries(of::deliveries::Options),
    /// Approve a request: opens its page, where your passkey signs, or signs here with an SSH key
    Approve(of::review::Options),
    /// Deny a request: opens its page, where your passkey signs, or signs here with an SSH key
    Deny(of::review::Options),
    /// Ask about a request: opens its page, where your passkey signs, or signs here with an SSH key
    Ask(of::review::Options),
    /// Look at broken glass afterwards: opens its page, where your passkey signs, or signs here with an SSH key
    LookBack(of::look_back::Options),
    /// Answer a reviewer's question
    Answer(of::answer::Options),
    /// Take a request of yours back
    Cancel(of::cancel::Options),

    /// People and their passkeys
    #[command(subcommand)]
    Person(of::person::Person),
    /// Who is in which group
    #[command(subcommand)]
    Group(of::group::Group),
    /// Agents, their sponsors and their keys
    #[command(subcommand)]
    Agent(of::agent::Agent),
    /// Routes: the systems behind the gateway
    #[command(subcommand)]
    Route(of::route::Route),
    /// Policy: write, check, test, apply
    #[command(subcommand)]
    Policy(of::policy::Policy),

    /// Receipts and the log: fetch, and verify without the gateway
    #[command(subcommand)]
    Audit(of::audit::Audit),
    /// Cosign the logs of others, so that none can show two histories
    Witness(of::witness::Options),

    /// Print the vocabulary of verbs
    Verbs(of::verbs::Options),
    /// Print the API's description (OpenAPI 3.1)
    Openapi,
    /// Slack: what a workspace needs
    Slack(of::slack::Options),
    /// Microsoft Teams: what a tenant needs
    Teams(of::teams::Options),
    /// Print a completion script for a shell
    Completions(of::completions::Options),
}

/// Reads the command line; help and wrong usage end here.
pub(crate) fn parse() -> Cli {
    Cli::from_arg_matches(&grammar().get_matches()).unwrap_or_else(|error| error.exit())
}

/// The grammar, with the commands under their headings.
pub(crate) fn grammar() -> clap::Command {
    let command = Cli::command();
    let template = format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n{}\nOptions:\n{{options}}{{after-help}}\n",
        listed(&command)
    );
    command.help_template(template)
}

fn listed(command: &clap::Command) -> String {
    let names = HEADINGS.iter().flat_map(|(_, names)| names.iter());
    let width = names.map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (heading, names) in HEADINGS {
        text.push_str(&format!("\n{heading}:\n"));
        for name in *names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {name:width$}  {about}\n"));
        }
    }
    text
}

/// Says what went wrong in one line, and how bad that is.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    note(&format!("error: {error:#}"));
    if error.is::<Usage>() {
        return ExitCode::from(2);
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. } | ClientError::Stranger { .. }) => ExitCode::from(3),
        Some(ClientError::Refused(_)) | None => ExitCode::from(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        grammar().debug_assert();
    }

    #[test]
    fn every_command_stands_under_one_heading() {
        let command = Cli::command();
        let mut known: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
        let mut listed: Vec<_> = HEADINGS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        known.sort_unstable();
        listed.sort_unstable();
        assert_eq!(known, listed);
    }
}

//! The commands, one file each. A command parses its options, asks the API or reads files, and prints; it decides
//! nothing.

pub(crate) mod login;

pub(crate) mod request;
pub(crate) mod inbox;
pub(crate) mod show;
pub(crate) mod deliveries;
pub(crate) mod review;
pub(crate) mod look_back;
mod terminal;
pub(crate) mod answer;
pub(crate) mod cancel;

pub(crate) mod person;
pub(crate) mod group;
pub(crate) mod agent;
pub(crate) mod route;
pub(crate) mod policy;

pub(crate) mod audit;
pub(crate) mod search;
pub(crate) mod reconcile;
pub(crate) mod witness;
pub(crate) mod backup;
pub(crate) mod keys;
pub(crate) mod doctor;

pub(crate) mod verbs;
pub(crate) mod openapi;
pub(crate) mod slack;
pub(crate) mod teams;
pub(crate) mod completions;

mod lookup;
mod trail;
mod browser;
mod propose;

use std::path::Path;

use crate::agents::AgentFile;
use crate::cli::{Cli, Command, Common, Ending};
use crate::client::Client;
use crate::config::Config;
use crate::output::{Cell, Output, Tone};
use crate::up;

/// What every command is given.
pub(crate) struct Context {
    common: Common,
    /// Where its words go.
    pub(crate) output: Output,
}

impl Context {
    /// The gateway, as whoever is signed in there.
    pub(crate) fn signed_in(&self) -> anyhow::Result<Client> {
        Client::signed_in(self.common.url.as_deref())
    }

    /// The gateway, as nobody.
    pub(crate) fn anonymous(&self) -> anyhow::Result<Client> {
        Client::anonymous(self.common.url.as_deref())
    }

    /// The gateway, as the agent whose key file is given, or as whoever is signed in.
    pub(crate) async fn agent_or_person(&self, agent: Option<&Path>) -> anyhow::Result<Client> {
        match agent {
            Some(file) => AgentFile::read(file)?.sign_in(self.url()).await,
            None => self.signed_in(),
        }
    }

    /// The gateway's address where the options or the environment name one.
    pub(crate) fn url(&self) -> Option<&str> {
        self.common.url.as_deref()
    }

    /// The bootstrap file of the gateway on this machine.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        up::config(self.common.config.as_deref())
    }
}

/// A state's word in its tone.
pub(crate) fn state(word: &str) -> Cell {
    Cell::toned(word, Tone::of_state(word))
}

/// This machine's clock, in microseconds since 1970.
pub(crate) fn now_micros() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0)
}

/// Runs one command.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<Ending> {
    let context = &Context { output: Output::new(cli.common.json), common: cli.common };
    match cli.command {
        Command::Up(options) => up::up(context.config()?, options).await.map(|()| Ending::Fine),
        Command::Doctor => doctor::run(context).await,
        Command::Keys(keys) => keys::run(&keys, context).await,
        Command::Backup(backup) => backup::run(&backup, context).await,
        Command::Login(options) => login::login(&options, context).await,
        Command::Logout => login::logout(context).await,
        Command::Whoami => login::whoami(context).await,
        Command::Request(options) => request::run(&options, context).await,
        Command::Inbox(options) => inbox::run(&options, context).await,
        Command::Show(options) => show::run(&options, context).await,
        Command::Deliveries(options) => deliveries::run(&options, context).await,
        Command::Approve(options) => review::run(review::Verdict::Approve, &options, context).await,
        Command::Deny(options) => review::run(review::Verdict::Deny, &options, context).await,
        Command::Ask(options) => review::run(review::Verdict::Ask, &options, context).await,
        Command::LookBack(options) => look_back::run(&options, context).await,
        Command::Answer(options) => answer::run(&options, context).await,
        Command::Cancel(options) => cancel::run(&options, context).await,
        Command::Person(person) => person::run(&person, context).await,
        Command::Group(group) => group::run(&group, context).await,
        Command::Agent(agent) => agent::run(&agent, context).await,
        Command::Route(route) => route::run(&route, context).await,
        Command::Policy(policy) => policy::run(&policy, context).await,
        Command::Audit(audit) => audit::run(&audit, context).await,
        Command::Witness(options) => witness::run(&options, context).await,
        Command::Verbs(options) => Ok(verbs::run(&options, context.output)),
        Command::Openapi => openapi::run(context.output),
        Command::Slack(options) => slack::run(&options, context.output),
        Command::Teams(options) => teams::run(&options, context),
        Command::Completions(options) => Ok(completions::run(&options, context.output)),
    }
}

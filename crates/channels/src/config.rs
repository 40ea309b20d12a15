//! What the bootstrap file says of channels: `[channels.*]`, one table a channel, and `[[channels.routes]]`, which say
//! where a request goes. Secrets are named there and never stand there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::id::{Environment, GroupName, PersonId, RuleId, TargetName};
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::ChannelError;
use crate::card::Shows;
use crate::click::Clicks;
use crate::deliver::Fitted;
use crate::email::EmailConfig;
use crate::limits::{ESCALATE_LONGEST, REMIND_SHORTEST, REMINDERS, ROUTES};
use crate::slack::SlackConfig;
use crate::teams::TeamsConfig;
use crate::webhook::WebhookConfig;

/// `[channels]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelsConfig {
    /// The time zone of what several read, and of people whose own no channel knows: an IANA name such as
    /// `Europe/Berlin`; UTC where it is not given.
    pub time_zone: Option<String>,
    /// Slack: one app in one workspace.
    pub slack: Option<SlackConfig>,
    /// Microsoft Teams: one bot in one tenant.
    pub teams: Option<TeamsConfig>,
    /// E-mail, which notifies and never decides.
    pub email: Option<EmailConfig>,
    /// Signed webhooks, each under its own name.
    pub webhooks: BTreeMap<TargetName, WebhookConfig>,
    /// Where requests go; a request goes to every place that a route names for it.
    pub routes: Vec<Route>,
}

/// One `[[channels.routes]]` table: which requests it is for, and where they go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Only requests that still wait for this group, or that their rule escalates to it (`@escalate`); all where it is
    /// not given.
    pub group: Option<GroupName>,
    /// Only requests that this rule of the policy holds.
    pub rule: Option<RuleId>,
    /// Only requests whose rule names this place in `@notify`, such as `#dba`.
    pub notify: Option<String>,
    /// Only in this environment.
    pub environment: Option<Environment>,
    /// Only in this target.
    pub target: Option<TargetName>,
    /// Only requests of at least this risk, from 0 to 100.
    pub risk: Option<i64>,
    /// By which channel: `slack`, `teams`, `email`, or a webhook's name.
    pub channel: TargetName,
    /// Where to: a conversation's id, a list's address; or `people`, and then each who may review it, by themself. Not
    /// given for a webhook, whose place is its address.
    pub to: Option<String>,
    /// What the place may be shown.
    #[serde(default)]
    pub shows: Shows,
    /// Only after so many seconds in which nobody decided: the route escalates.
    #[serde(default)]
    pub after: u64,
    /// After how many seconds of silence the place is reminded, again and again; never where it is not given.
    pub remind: Option<u64>,
    /// How often at most; once where it is not given.
    pub reminders: Option<u32>,
}

/// The word for each who may review, in a route's `to`.
pub const PEOPLE: &str = "people";

impl Route {
    /// Whether the place is everybody who may review, each by themself.
    #[must_use]
    pub fn is_to_people(&self) -> bool {
        self.to.as_deref() == Some(PEOPLE)
    }

    /// After how long without a decision it applies.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_secs(self.after)
    }

    /// How often, and after what silence each time, the place is reminded.
    #[must_use]
    pub fn reminding(&self) -> Option<(Duration, u32)> {
        Some((Duration::from_secs(self.remind?), self.reminders.unwrap_or(1)))
    }

    fn check(&self, channels: &BTreeSet<TargetName>, webhooks: &BTreeSet<&TargetName>) -> Result<(), String> {
        let Self { channel, to, .. } = self;
        if !channels.contains(channel) {
            return Err(format!("there is no channel `{channel}`"));
        }
        if webhooks.contains(channel) == to.is_some() {
            return Err(format!("`to` says where in `{channel}`, and is not given for a webhook"));
        }
        if self.delay() > ESCALATE_LONGEST {
            return Err(format!("`after` is over {} seconds", ESCALATE_LONGEST.as_secs()));
        }
        match self.reminding() {
            Some((every, _)) if every < REMIND_SHORTEST => {
                Err(format!("`remind` is under {} seconds", REMIND_SHORTEST.as_secs()))
            }
            Some((_, most)) if most > REMINDERS => Err(format!("`reminders` is over {REMINDERS}")),
            Some(_) | None => Ok(()),
        }
    }
}

impl ChannelsConfig {
    /// Makes relative paths relative to the file's folder.
    pub fn rebase(&mut self, folder: &Path) {
        if let Some(slack) = &mut self.slack {
            slack.rebase(folder);
        }
        if let Some(teams) = &mut self.teams {
            teams.rebase(folder);
        }
        if let Some(email) = &mut self.email {
            email.rebase(folder);
        }
        for webhook in self.webhooks.values_mut() {
            webhook.rebase(folder);
        }
    }

    /// The time zone for times that nobody's own zone is known for.
    ///
    /// # Errors
    /// [`ChannelError::Config`] for a name that is none.
    pub fn zone(&self) -> Result<TimeZone, ChannelError> {
        match &self.time_zone {
            None => Ok(TimeZone::UTC),
            Some(name) => TimeZone::get(name).map_err(|error| ChannelError::config("time_zone", error)),
        }
    }

    /// Every channel, ready; their secrets are read. `clicks` is where clicks go.
    ///
    /// # Errors
    /// [`ChannelError::Config`] in words.
    pub fn build(&self, clicks: &Arc<dyn Clicks>) -> Result<Vec<Fitted>, ChannelError> {
        let zone = self.zone()?;
        let mut fitted = Vec::new();
        if let Some(slack) = &self.slack {
            fitted.push(slack.build(clicks)?);
        }
        if let Some(teams) = &self.teams {
            fitted.push(teams.build(clicks)?);
        }
        if let Some(email) = &self.email {
            fitted.push(email.build(zone)?);
        }
        for (name, webhook) in &self.webhooks {
            fitted.push(webhook.build(name)?);
        }
        self.check(fitted.iter().map(|fitted| fitted.channel.name().clone()))?;
        Ok(fitted)
    }

    /// E-mail addresses of people, where the file has them.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<PersonId, String> {
        self.email.as_ref().map(|email| email.people.clone()).unwrap_or_default()
    }

    fn check(&self, channels: impl Iterator<Item = TargetName>) -> Result<(), ChannelError> {
        let mut names = BTreeSet::new();
        for name in channels {
            if !names.insert(name.clone()) {
                return Err(ChannelError::config(name.as_str(), "two channels have this name"));
            }
        }
        if self.routes.len() > ROUTES {
            return Err(ChannelError::config("routes", format!("there are more than {ROUTES}")));
        }
        let webhooks = self.webhooks.keys().collect();
        for route in &self.routes {
            route.check(&names, &webhooks).map_err(|why| ChannelError::config("routes", why))?;
        }
        Ok(())
    }
}

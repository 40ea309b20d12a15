//! Cards out: a message for each place, brought up to date there, with the agent's answers in its thread.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::id::TargetName;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use super::api::{Api, ApiError};
use super::config::Workspace;
use super::limits::CONVERSATIONS;
use super::pace::Pace;
use super::render;
use crate::card::{Card, Exchange};
use crate::deliver::{Channel, Delivery, Failed, Place, Placed};

/// Slack as a way for cards.
#[derive(Debug)]
pub(super) struct Slack {
    pub(super) name: TargetName,
    pub(super) api: Api,
    pub(super) workspace: Workspace,
    pace: Pace,
    /// People's direct conversations.
    direct: Mutex<HashMap<String, String>>,
    /// Set once the token was found to be the configured app's, in the configured workspace.
    checked: OnceCell<()>,
}

impl Slack {
    pub(super) fn new(name: TargetName, api: Api, workspace: Workspace) -> Arc<Self> {
        let (pace, direct, checked) = (Pace::default(), Mutex::default(), OnceCell::new());
        Arc::new(Self { name, api, workspace, pace, direct, checked })
    }

    /// Nothing goes out by a token of another workspace: clicks there would be another company's.
    async fn check(&self) -> Result<(), Failed> {
        let check = || async {
            let bot = self.api.auth_test().await.map_err(|error| self.failed(&error))?;
            let Workspace { app, team } = &self.workspace;
            if bot.team_id != *team || bot.is_enterprise_install {
                return Err(Failed::never(format!(
                    "the token is for workspace `{}`, not `{team}`",
                    bot.team_id
                )));
            }
            let Some(id) = bot.bot_id else {
                return Err(Failed::never("the token is no bot's"));
            };
            match self.api.app_of(&id).await.map_err(|error| self.failed(&error))? {
                found if found == *app => Ok(()),
                found => Err(Failed::never(format!("the token is of app `{found}`, not `{app}`"))),
            }
        };
        self.checked.get_or_try_init(check).await.copied()
    }

    /// What an error of the API means for a delivery. A pause that Slack asks for holds everything else too.
    fn failed(&self, error: &ApiError) -> Failed {
        if let ApiError::Limited(after) = error {
            self.pace.pause(*after, Instant::now());
            metrics::counter!("countersign_slack_limited_total").increment(1);
            return Failed::Later { after: Some(*after), why: error.to_string() };
        }
        if error.passes() { Failed::later(error) } else { Failed::never(error) }
    }

    /// Waits for a turn in a conversation.
    async fn turn(&self, channel: &str) -> Result<(), Failed> {
        wait(self.pace.turn(channel, Instant::now())).await?;
        // Slack may have asked for a pause meanwhile.
        wait(self.pace.quiet(Instant::now())).await
    }

    /// The direct conversation with a person: asked for once, since it stays the same.
    async fn direct(&self, user: &str) -> Result<String, Failed> {
        let known = self.direct.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.api.direct(user).await.map_err(|error| self.failed(&error))?;
        let mut all = self.direct.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < CONVERSATIONS {
            all.insert(user.to_owned(), found.clone());
        }
        Ok(found)
    }

    async fn answers(&self, placed: &Placed, card: &Card) -> Result<Option<String>, Failed> {
        let mut told: Vec<String> =
            placed.extra.iter().flat_map(|told| told.split(',')).map(str::to_owned).collect();
        for exchange in &card.questions {
            let Some(message) = render::answer(exchange) else { continue };
            let mark = mark(exchange);
            if told.contains(&mark) {
                continue;
            }
            self.turn(&placed.place).await?;
            self.api
                .post(&placed.place, Some(&placed.message), &message)
                .await
                .map_err(|error| self.failed(&error))?;
            told.push(mark);
        }
        // Only what still stands on the card can come again.
        let marks: Vec<String> = card.questions.iter().map(mark).collect();
        told.retain(|one| marks.contains(one));
        Ok((!told.is_empty()).then(|| told.join(",")))
    }
}

#[async_trait]
impl Channel for Slack {
    fn name(&self) -> &TargetName {
        &self.name
    }

    fn decides(&self) -> bool {
        true
    }

    async fn post(&self, delivery: &Delivery, card: &Card) -> Result<Placed, Failed> {
        self.check().await?;
        let place = match &delivery.to {
            Place::Shared(channel) => channel.clone(),
            Place::Person { team, .. } if *team != self.workspace.team => {
                return Err(Failed::never(format!("the account is in workspace `{team}`, not this one")));
            }
            Place::Person { address, .. } => self.direct(address).await?,
        };
        self.turn(&place).await?;
        let posted =
            self.api.post(&place, None, &render::message(card)).await.map_err(|error| self.failed(&error))?;
        let placed = Placed {
            team: self.workspace.team.clone(),
            place: posted.channel,
            message: posted.ts,
            extra: None,
        };
        let extra = self.answers(&placed, card).await.unwrap_or_default();
        Ok(Placed { extra, ..placed })
    }

    async fn update(&self, placed: &Placed, card: &Card) -> Result<Placed, Failed> {
        self.check().await?;
        wait(self.pace.quiet(Instant::now())).await?;
        self.api
            .update(&placed.place, &placed.message, &render::message(card))
            .await
            .map_err(|error| self.failed(&error))?;
        let extra = self.answers(placed, card).await?;
        Ok(Placed { extra, ..placed.clone() })
    }

    async fn remind(&self, placed: &Placed, card: &Card) -> Result<(), Failed> {
        self.check().await?;
        self.turn(&placed.place).await?;
        self.api
            .post(&placed.place, Some(&placed.message), &render::reminder(card))
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }
}

/// An answer is known again by what was asked and answered.
fn mark(exchange: &Exchange) -> String {
    let mut hash = Sha256::new();
    for words in [Some(&exchange.question), exchange.answer.as_ref()].into_iter().flatten() {
        hash.update(crate::card::visible(words));
        hash.update([0]);
    }
    hash.update(&exchange.by);
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

async fn wait(turn: Result<Duration, Duration>) -> Result<(), Failed> {
    match turn {
        Ok(wait) => {
            tokio::time::sleep(wait).await;
            Ok(())
        }
        Err(after) => Err(Failed::Later {
            after: Some(after),
            why: "one message a second into one conversation".to_owned(),
        }),
    }
}

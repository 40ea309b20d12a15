//! Cards out to Teams: posted in channels, group chats and people's own chats, and replaced where they stand.

use std::sync::Arc;

use async_trait::async_trait;
use domain::id::TargetName;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::connector::{Connector, Service};
use super::memory::Memory;
use super::render::{self, View};
use crate::card::Card;
use crate::deliver::{Channel, Delivery, Failed, Place, Placed};

/// Teams, as the outbox sees it.
pub(super) struct Teams {
    pub(super) name: TargetName,
    pub(super) connector: Arc<Connector>,
    pub(super) memory: Arc<Memory>,
    /// The service URL before any activity has named one.
    pub(super) first: Service,
}

/// What is kept with a card besides its place: a conversation reference is the two together.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The service URL.
    service: String,
    /// Whether it stands in one person's own chat.
    own: bool,
}

/// How the id of a team's channel ends; a message there begins a thread.
const CHANNEL_ENDS: [&str; 2] = ["@thread.tacv2", "@thread.skype"];

#[async_trait]
impl Channel for Teams {
    fn name(&self) -> &TargetName {
        &self.name
    }

    fn decides(&self) -> bool {
        true
    }

    async fn post(&self, delivery: &Delivery, card: &Card) -> Result<Placed, Failed> {
        let service = self.memory.service().unwrap_or_else(|| self.first.clone());
        let line = render::line(card);
        let (place, message, own) = match &delivery.to {
            Place::Person { team, address, .. } => {
                if *team != self.connector.tenant {
                    return Err(Failed::never("the account is of another tenant"));
                }
                let chat = match self.memory.chat(address) {
                    Some(chat) => chat,
                    None => self.connector.personal(&service, address).await?,
                };
                let content = render::card(card, View::Own { answer: None });
                let message = self.connector.send(&service, &chat, &render::message(&line, content)).await?;
                (chat, message, true)
            }
            Place::Shared(place) => {
                let reviewers = self.memory.reviewers(place);
                let content = render::card(card, View::Shared { reviewers: &reviewers });
                let activity = render::message(&line, content);
                if CHANNEL_ENDS.iter().any(|end| place.ends_with(end)) {
                    let (thread, message) = self.connector.begin_thread(&service, place, &activity).await?;
                    (thread, message, false)
                } else {
                    (place.clone(), self.connector.send(&service, place, &activity).await?, false)
                }
            }
        };
        let kept = Kept { service: service.as_str().to_owned(), own };
        let extra = serde_json::to_string(&kept).map_err(Failed::never)?;
        Ok(Placed { team: self.connector.tenant.clone(), place, message, extra: Some(extra) })
    }

    async fn update(&self, placed: &Placed, card: &Card) -> Result<Placed, Failed> {
        let (service, own) = self.kept(placed)?;
        let reviewers = self.memory.reviewers(&placed.place);
        let view = if own { View::Own { answer: None } } else { View::Shared { reviewers: &reviewers } };
        let activity = render::message(&render::line(card), render::card(card, view));
        self.connector.replace(&service, &placed.place, &placed.message, &activity).await?;
        Ok(placed.clone())
    }

    async fn remind(&self, placed: &Placed, card: &Card) -> Result<(), Failed> {
        let (service, _) = self.kept(placed)?;
        let words = format!("Still waiting. {}", render::line(card));
        let activity = json!({ "type": "message", "textFormat": "plain", "text": words, "summary": words });
        self.connector.send(&service, &placed.place, &activity).await.map(|_| ())
    }
}

impl Teams {
    /// The conversation reference of a card. Its host is asked about anew: the list may have changed.
    fn kept(&self, placed: &Placed) -> Result<(Service, bool), Failed> {
        let extra = placed.extra.as_deref().unwrap_or_default();
        let kept: Kept = domain::canonical::read(extra.as_bytes()).map_err(Failed::never)?;
        let service = self.connector.hosts.allow(&kept.service).map_err(Failed::never)?;
        Ok((service, kept.own))
    }
}

//! Channels that live in memory: what was posted where, and failures on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use channels::card::Card;
use channels::click::{Answer, Click, Clicks, Desk, Evidence, Pressed};
use channels::config::Route;
use channels::deliver::{Channel, Delivery, Failed, Outbox, Placed};
use domain::account::ExternalAccount;
use domain::directory::DirectoryEvent;
use domain::id::{ActionId, TargetName};
use tokio::sync::watch;

use crate::house::{House, PERMIT, eventually};

/// Whatever removes something needs so many of `dba`, and a click suffices.
pub(crate) fn by_click(hold: &str) -> String {
    format!(
        r#"{PERMIT}
        @id("deletes") @hold("{hold}") @ttl("30m") @grant("10m") @why("it cannot be brought back") @assurance("chat")
        forbid (principal, action in Action::"destroy", resource);"#
    )
}

/// A route, as the configuration has it.
pub(crate) fn route(text: &str) -> Route {
    toml::from_str(text).unwrap()
}

/// What one message came to.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) placed: Placed,
    pub(crate) delivery: Delivery,
    /// Every card that stood there, the last one last.
    pub(crate) cards: Vec<Card>,
    pub(crate) reminders: usize,
}

impl Message {
    pub(crate) fn card(&self) -> &Card {
        self.cards.last().unwrap()
    }
}

/// A channel in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    name: TargetName,
    messages: Mutex<BTreeMap<String, Message>>,
    failing: Mutex<VecDeque<Failed>>,
    tries: AtomicUsize,
}

impl Memory {
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.parse().unwrap(),
            messages: Mutex::default(),
            failing: Mutex::default(),
            tries: AtomicUsize::new(0),
        })
    }

    pub(crate) fn fails(&self, with: impl IntoIterator<Item = Failed>) {
        self.failing.lock().unwrap().extend(with);
    }

    pub(crate) fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().values().cloned().collect()
    }

    /// The one message about a request, once it stands there.
    pub(crate) async fn message(&self, id: ActionId) -> Message {
        eventually("it is posted", async || self.of(id).len() == 1).await;
        self.of(id).remove(0)
    }

    pub(crate) fn of(&self, id: ActionId) -> Vec<Message> {
        self.messages().into_iter().filter(|message| message.delivery.approval == id).collect()
    }

    /// Waits until every card about a request says that it stands so.
    pub(crate) async fn says(&self, id: ActionId, state: &str) {
        let all = async || {
            let messages = self.of(id);
            !messages.is_empty() && messages.iter().all(|message| message.card().state.word == state)
        };
        eventually(&format!("every card of {} says {state}", self.name), all).await;
    }

    fn may_fail(&self) -> Result<(), Failed> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        match self.failing.lock().unwrap().pop_front() {
            Some(failed) => Err(failed),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Channel for Memory {
    fn name(&self) -> &TargetName {
        &self.name
    }

    fn decides(&self) -> bool {
        true
    }

    async fn post(&self, delivery: &Delivery, card: &Card) -> Result<Placed, Failed> {
        self.may_fail()?;
        let mut messages = self.messages.lock().unwrap();
        let message = format!("m{}", messages.len());
        let placed = Placed {
            team: "T1".to_owned(),
            place: delivery.to.to_string(),
            message: message.clone(),
            extra: None,
        };
        let posted = Message {
            placed: placed.clone(),
            delivery: delivery.clone(),
            cards: vec![card.clone()],
            reminders: 0,
        };
        messages.insert(message, posted);
        Ok(placed)
    }

    async fn update(&self, placed: &Placed, card: &Card) -> Result<Placed, Failed> {
        self.may_fail()?;
        let mut messages = self.messages.lock().unwrap();
        let message = messages.get_mut(&placed.message).ok_or_else(|| Failed::never("it is gone"))?;
        assert!(message.card().version < card.version, "a card never goes back");
        message.cards.push(card.clone());
        Ok(placed.clone())
    }

    async fn remind(&self, placed: &Placed, _: &Card) -> Result<(), Failed> {
        self.may_fail()?;
        self.messages.lock().unwrap().get_mut(&placed.message).unwrap().reminders += 1;
        Ok(())
    }
}

/// What brings requests to people, running.
pub(crate) struct Running {
    pub(crate) desk: Arc<Desk>,
    stop: watch::Sender<bool>,
}

impl Running {
    pub(crate) fn start(house: &House, channels: &[&Arc<Memory>], routes: &[&str]) -> Self {
        let (stop, stopped) = watch::channel(false);
        let channels = channels.iter().map(|channel| Arc::clone(channel) as Arc<dyn Channel>).collect();
        let routes = routes.iter().map(|text| route(text)).collect();
        let outbox = Outbox::new(Arc::clone(&house.gateway), channels, routes, BTreeMap::new());
        drop(outbox.start(&stopped));
        Self { desk: Desk::new(Arc::clone(&house.gateway)), stop }
    }

    pub(crate) fn stop(self) {
        let _ = self.stop.send(true);
    }

    /// Somebody clicks on a message.
    pub(crate) async fn click(&self, user: &str, message: &Message, pressed: Pressed) -> Answer {
        static CLICKS: AtomicUsize = AtomicUsize::new(0);
        let once = format!("trigger-{}", CLICKS.fetch_add(1, Ordering::SeqCst));
        self.desk.click(click(user, message, pressed, &once)).await
    }
}

pub(crate) fn click(user: &str, message: &Message, pressed: Pressed, once: &str) -> Click {
    Click {
        channel: "slack".parse().unwrap(),
        account: account(user),
        placed: message.placed.clone(),
        approval: message.card().approval,
        version: message.card().version,
        pressed,
        evidence: Evidence {
            once: once.to_owned(),
            checked: "memory",
            marks: BTreeMap::from([("app_id".to_owned(), "A1".to_owned())]),
        },
    }
}

pub(crate) const APPROVE: Pressed = Pressed::Approve { confirmed: true };

pub(crate) fn deny() -> Pressed {
    Pressed::Deny { reason: "not today".to_owned() }
}

pub(crate) fn account(name: &str) -> ExternalAccount {
    ExternalAccount::new("slack", "T1", &format!("U-{name}")).unwrap()
}

pub(crate) async fn link(house: &House, name: &str) {
    house.change(DirectoryEvent::AccountLinked { person: house.person(name), account: account(name) }).await;
}

//! What was learned of conversations from activities whose token was checked. It makes cards come sooner and is nobody's
//! authority; a restart forgets it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::connector::Service;
use super::limits::{REFRESH_CONVERSATIONS, REFRESH_USERS};

/// What was learned.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Learned>);

#[derive(Debug, Default)]
struct Learned {
    /// The service URL of our tenant, as the last activity had it.
    service: Option<Service>,
    /// Who reviewed in which conversation, the latest last.
    reviewers: VecDeque<(String, VecDeque<String>)>,
    /// People's own chats with the bot, by their object id, the latest last.
    chats: VecDeque<(String, String)>,
}

impl Memory {
    /// The service URL to begin with.
    pub(super) fn service(&self) -> Option<Service> {
        self.lock().service.clone()
    }

    /// Remembers the tenant's service URL.
    pub(super) fn saw_service(&self, service: &Service) {
        self.lock().service = Some(service.clone());
    }

    /// Teams' ids of those who reviewed in a conversation, at most [`REFRESH_USERS`].
    pub(super) fn reviewers(&self, conversation: &str) -> Vec<String> {
        let learned = self.lock();
        let found = learned.reviewers.iter().find(|(known, _)| known == base(conversation));
        found.map(|(_, people)| people.iter().cloned().collect()).unwrap_or_default()
    }

    /// Remembers that somebody saw a request in a conversation as a reviewer.
    pub(super) fn saw_reviewer(&self, conversation: &str, person: &str) {
        let mut learned = self.lock();
        let place = learned.reviewers.iter().position(|(known, _)| known == base(conversation));
        let found = place.and_then(|place| learned.reviewers.remove(place));
        let (conversation, mut people) =
            found.unwrap_or_else(|| (base(conversation).to_owned(), VecDeque::new()));
        people.retain(|known| known != person);
        people.push_back(person.to_owned());
        while people.len() > REFRESH_USERS {
            people.pop_front();
        }
        learned.reviewers.push_back((conversation, people));
        while learned.reviewers.len() > REFRESH_CONVERSATIONS {
            learned.reviewers.pop_front();
        }
    }

    /// A person's own chat with the bot.
    pub(super) fn chat(&self, user: &str) -> Option<String> {
        let learned = self.lock();
        learned.chats.iter().find(|(known, _)| known == user).map(|(_, chat)| chat.clone())
    }

    /// Remembers a person's own chat.
    pub(super) fn saw_chat(&self, user: &str, chat: &str) {
        let mut learned = self.lock();
        learned.chats.retain(|(known, _)| known != user);
        learned.chats.push_back((user.to_owned(), chat.to_owned()));
        while learned.chats.len() > REFRESH_CONVERSATIONS {
            learned.chats.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Learned> {
        // Nothing in here is half written when somebody panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's channel: `19:…@thread.tacv2` of `19:…@thread.tacv2;messageid=17…`.
fn base(conversation: &str) -> &str {
    conversation.split_once(';').map_or(conversation, |(channel, _)| channel)
}

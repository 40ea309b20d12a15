//! **admit**: the access token is the password, the database's name says where to; both are looked up anew for as long as
//! the session lives.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use gateway::admit::Lasting;
use postgres::hold::{Admission, Admit, Onward, Presented};
use postgres::reply::Refusal;

use crate::limits::STANDING_EVERY;
use crate::point::{Shared, Standing};
use crate::reply;
use crate::session::Session;

/// Lets agents in.
pub(crate) struct Door {
    shared: Arc<Shared>,
}

impl Door {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl Admit for Door {
    async fn admit(&self, presented: Presented) -> Result<Admission, Refusal> {
        let token = std::str::from_utf8(presented.password.expose()).map_err(|_| reply::no_token())?;
        let (caller, lasting) = self
            .shared
            .gateway
            .admit_session_of_agent(token.trim())
            .map_err(|error| reply::no_entry(&error))?;
        let databases = self.shared.databases();
        let standing = presented
            .asked
            .database
            .parse()
            .ok()
            .and_then(|name| databases.get(&name))
            .ok_or_else(|| reply::no_database(&presented.asked.database))?;
        let password = self
            .shared
            .password(&standing.database)
            .ok_or_else(|| reply::no_secret(standing.database.name()))?;
        Ok(Admission {
            principal: caller.principal().to_string(),
            onward: Onward {
                upstream: Arc::clone(&standing.upstream),
                user: standing.database.user().clone(),
                database: standing.database.database().clone(),
                password,
            },
            decide: Box::new(Session::new(&self.shared, standing, lasting.clone())),
            acts_as: standing.database.acts_as().cloned(),
            hold_inside_transaction: standing.database.settings().hold_inside_transaction,
            ended: ended(Arc::clone(&self.shared), Arc::clone(standing), lasting).boxed(),
        })
    }
}

/// Ends when the session has to: its agent, the agent's key or its sponsor stand no more, or its database is another.
async fn ended(shared: Arc<Shared>, standing: Arc<Standing>, lasting: Lasting) -> Refusal {
    let mut moved = shared.moved.subscribe();
    loop {
        if let Err(error) = shared.gateway.still_admits(&lasting) {
            return reply::no_entry(&error);
        }
        let databases = shared.databases();
        let same = databases
            .get(standing.database.name())
            .is_some_and(|now| now.target.definition == standing.target.definition);
        if !same {
            return reply::database_changed(standing.database.name());
        }
        // A wake may be missed; time is not.
        let _ = tokio::time::timeout(STANDING_EVERY, moved.changed()).await;
    }
}

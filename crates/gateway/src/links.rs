//! Links between people and their accounts elsewhere, such as in a chat service.
//!
//! A link is made from both sides, so that nobody can be talked into one. The account asks for it and gets a link into
//! the console; there its owner, with a passkey touched for it, reads which account it is and gets a code; and the code
//! is typed in the same account. Whoever opens a link of somebody else's has a code that is good nowhere but in the
//! other's account, and nobody asks them to bring it there.
//!
//! What is clicked in a linked account is a review of the weakest assurance there is ([`crate::click`]).

use domain::account::ExternalAccount;
use domain::directory::{Change, DirectoryEvent};
use domain::id::PersonId;
use domain::principal::Principal;
use domain::time::Span;
use identity::InviteToken;
use serde::{Deserialize, Serialize};

use crate::admit::refused;
use crate::people::Human;
use crate::{Gateway, GatewayError};

/// How long a link into the console, and the code that comes of it, are good.
pub const LINK_LIFETIME: Span = Span::from_seconds(600);
/// How long ago a passkey may have been touched for the code.
const CONFIRM_SECONDS: u64 = 120;
/// The longest name of an account as its provider shows it, in bytes.
const SHOWN_NAME_BYTES: usize = 128;
/// How often a link that met another change of the directory is tried again.
const LINK_TRIES: usize = 8;

/// An account that asks to stand for whoever opens its link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// The account.
    pub account: ExternalAccount,
    /// Its name as the provider shows it: not checked by anybody.
    pub shown_name: String,
}

/// A link that its person has confirmed, and whose code was not brought back yet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmed {
    account: ExternalAccount,
    person: PersonId,
}

impl Gateway {
    /// Where somebody goes who wants their account to stand for them: good once, and only for the account's owner to see.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] for an account that is linked already; store failures.
    pub async fn begin_link(
        &self,
        account: &ExternalAccount,
        shown_name: &str,
    ) -> Result<String, GatewayError> {
        self.require_unlinked(account)?;
        let token = InviteToken::new(self.draw()?);
        let shown_name = domain::text::cut(&domain::text::visible(shown_name), SHOWN_NAME_BYTES).to_owned();
        let asking = domain::canonical::write(&Asking { account: account.clone(), shown_name })?;
        self.store.keep(&asking_key(&token), &asking, LINK_LIFETIME).await?;
        Ok(format!("{}/link#{}", self.settings.public_url, token.expose()))
    }

    /// Which account a link is for, to be shown before it is confirmed.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] for a link that is unknown, used, or lapsed.
    pub async fn look_at_link(&self, _: &Human, token: &str) -> Result<Asking, GatewayError> {
        let token = InviteToken::read(token).map_err(|_| GatewayError::NotFound("link"))?;
        let asking = self.store.look(&asking_key(&token)).await?;
        Ok(domain::canonical::read(&asking.ok_or(GatewayError::NotFound("link"))?)?)
    }

    /// Confirms a link, with a passkey that was touched just now; answers the code to type in the account.
    ///
    /// # Errors
    /// [`GatewayError::StepUp`], [`GatewayError::Forbidden`] at a command line or for an account that is linked already,
    /// [`GatewayError::NotFound`] for a link that is unknown, used or lapsed.
    pub async fn confirm_link(&self, human: &Human, token: &str) -> Result<String, GatewayError> {
        self.require_console(human)?;
        self.require_step_up(human)?;
        if self.store.now() >= human.session.authenticated_at.after(Span::from_seconds(CONFIRM_SECONDS)) {
            return Err(GatewayError::StepUp);
        }
        let asking = self.look_at_link(human, token).await?;
        self.require_unlinked(&asking.account)?;
        let token = InviteToken::read(token).map_err(refused)?;
        if self.store.take(&asking_key(&token)).await?.is_none() {
            return Err(GatewayError::NotFound("link"));
        }
        let code = self.draw_code()?;
        let confirmed = Confirmed { account: asking.account, person: human.person };
        let bytes = domain::canonical::write(&confirmed)?;
        self.store.keep(&code_key(&code), &bytes, LINK_LIFETIME).await?;
        Ok(code)
    }

    /// Makes the link whose code came back from its account. It is on record, as a change by its person.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] for a code that is unknown, used, lapsed, or another account's: each is spent by it.
    pub async fn finish_link(&self, account: &ExternalAccount, code: &str) -> Result<PersonId, GatewayError> {
        let code = code.trim().to_ascii_uppercase();
        let unknown = GatewayError::NotFound("code");
        let Some(bytes) = self.store.take(&code_key(&code)).await? else { return Err(unknown) };
        let confirmed: Confirmed = domain::canonical::read(&bytes)?;
        if confirmed.account != *account {
            tracing::warn!(%account, person = %confirmed.person, "a link's code was typed in another account");
            return Err(unknown);
        }
        let person = confirmed.person;
        self.change_own(person, DirectoryEvent::AccountLinked { person, account: account.clone() }).await?;
        tracing::info!(%account, %person, "an account is linked");
        Ok(person)
    }

    /// Takes a link away at once: one's own, or as an administrator anybody's.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] for somebody else's where one is no administrator, or at a command line;
    /// [`GatewayError::NotFound`] for an account that is not linked.
    pub async fn unlink(&self, human: &Human, account: &ExternalAccount) -> Result<(), GatewayError> {
        self.require_console(human)?;
        let directory = self.store.directory();
        let person = directory.person_of(account).ok_or(GatewayError::NotFound("account"))?.id;
        if person != human.person {
            self.require_admin(human)?;
        }
        self.change_own(human.person, DirectoryEvent::AccountUnlinked { person, account: account.clone() })
            .await
    }

    /// Takes a link away at the word of its own account: the doubt counts against it.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] for an account that is not linked.
    pub async fn unlink_itself(&self, account: &ExternalAccount) -> Result<(), GatewayError> {
        let directory = self.store.directory();
        let person = directory.person_of(account).ok_or(GatewayError::NotFound("account"))?.id;
        self.change_own(person, DirectoryEvent::AccountUnlinked { person, account: account.clone() }).await
    }

    /// For whom an account stands now.
    #[must_use]
    pub fn person_of(&self, account: &ExternalAccount) -> Option<PersonId> {
        self.store.directory().person_of(account).map(|person| person.id)
    }

    fn require_unlinked(&self, account: &ExternalAccount) -> Result<(), GatewayError> {
        match self.person_of(account) {
            None => Ok(()),
            Some(_) => Err(GatewayError::Forbidden(
                "this account is linked already; take that link away first".to_owned(),
            )),
        }
    }

    async fn change_own(&self, by: PersonId, event: DirectoryEvent) -> Result<(), GatewayError> {
        let mut tries = 0;
        loop {
            let directory = self.store.directory();
            directory.check(&event)?;
            let change = Change { event: event.clone(), by: Some(Principal::Person(by)), approval: None };
            match self.store.change(directory.version(), vec![change]).await {
                Ok(_) => return Ok(()),
                Err(store::StoreError::Stale) if tries < LINK_TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn asking_key(token: &InviteToken) -> String {
    format!("link/{}", token.vault_key())
}

fn code_key(code: &str) -> String {
    format!("link-code/{code}")
}

//! People: invited once, enrolled with a passkey, signed in by session. An agent's credential is of another
//! class and never becomes one of these.

use std::sync::Arc;

use domain::digest::Blob;
use domain::directory::{Change, DirectoryEvent, Person};
use domain::id::{GroupName, PersonId};
use domain::principal::Principal;
use domain::time::Span;
use identity::{
    Ceremony, IdentityError, Invite, InviteToken, Login, Passkeys, Pending, Session, SessionKind,
    SessionToken, SshEnrolment, limits,
};
use serde::{Deserialize, Serialize};

use crate::admit::{Caller, refused};
use crate::{Gateway, GatewayError};

/// A human whose session was checked for this very request.
#[derive(Debug, Clone)]
pub struct Human {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: String,
    /// Their session.
    pub session: Session,
    token: SessionToken,
}

/// A session as its holder receives it.
#[derive(Debug)]
pub struct SignedIn {
    /// The session's token: a cookie's value, or the command line's bearer token.
    pub token: SessionToken,
    /// Whose.
    pub person: PersonId,
}

/// What an enrolment came to.
#[derive(Debug)]
pub enum Enrolment {
    /// The key speaks for its person now, who is signed in.
    Done(SignedIn),
    /// An administrator must sign for exactly this key first.
    Held(HeldKey),
}

/// A key that waits for an administrator's signature.
#[derive(Debug)]
pub struct HeldKey {
    /// The request that they review.
    pub held: crate::hold::Held,
    /// The key's fingerprint, for its owner to tell the administrator by another way.
    pub fingerprint: String,
}

/// How long the command line's sign-in waits for its human.
pub const CLI_LOGIN_LIFETIME: Span = Span::from_seconds(600);

/// How fresh the passkey check must be that lets a command line in, in seconds: the human touches it for this.
const CLI_CONFIRM_SECONDS: u64 = 60;

/// What the command line holds while its human confirms in the console.
#[derive(Debug, Serialize, Deserialize)]
struct CliLogin {
    code: String,
    session: Option<String>,
}

impl Gateway {
    /// Makes the first administrator known, and returns the one-time link at which they enrol. `None` once
    /// somebody administers the deployment.
    ///
    /// # Errors
    /// Store failures.
    pub async fn first_invite(&self, name: &str) -> Result<Option<String>, GatewayError> {
        let directory = self.store.directory();
        if !directory.is_bootstrapping() {
            return Ok(None);
        }
        let admins = GroupName::admins();
        let waiting = directory.members(&admins).next().map(|person| person.id);
        let person = match waiting {
            Some(person) => person,
            None => {
                let id = PersonId::new(self.store.now(), &self.draw()?);
                let added = DirectoryEvent::PersonAdded { id, name: name.to_owned() };
                let joined = DirectoryEvent::GroupJoined { group: admins, person: id };
                let changes = [added, joined]
                    .into_iter()
                    .map(|event| Change { event, by: None, approval: None })
                    .collect();
                self.store.change(directory.version(), changes).await?;
                id
            }
        };
        self.make_invite(person, None).await.map(Some)
    }

    /// A one-time link at which a person without keys enrols their first one.
    ///
    /// # Errors
    /// As [`Gateway::propose`]; [`GatewayError::Forbidden`] for a person who has keys: they enrol further ones
    /// themself.
    pub async fn invite(&self, human: &Human, person: PersonId) -> Result<String, GatewayError> {
        self.require_admin(human)?;
        self.require_console(human)?;
        self.require_step_up(human)?;
        let directory = self.store.directory();
        let known = directory.person(person).filter(|p| p.active).ok_or(GatewayError::NotFound("person"))?;
        if !known.keys.is_empty() {
            let why = "this person has a passkey already and enrols further ones themself";
            return Err(GatewayError::Forbidden(why.to_owned()));
        }
        self.make_invite(person, Some(Principal::Person(human.person))).await
    }

    async fn make_invite(&self, person: PersonId, by: Option<Principal>) -> Result<String, GatewayError> {
        let token = InviteToken::new(self.draw()?);
        let invite = Invite::new(person, by, self.store.now());
        self.store.keep(&token.vault_key(), &invite.write()?, limits::INVITE_LIFETIME).await?;
        Ok(format!("{}/enrol#{}", self.settings.public_url, token.expose()))
    }

    /// Options for `navigator.credentials.create`, for whoever holds an invite.
    ///
    /// # Errors
    /// [`GatewayError::Unauthenticated`] for an invite that is unknown, spent or lapsed.
    pub async fn begin_enrolment(&self, invite: &str) -> Result<serde_json::Value, GatewayError> {
        let (_, invite) = self.read_invite(invite).await?;
        self.creation_options(invite.person).await
    }

    /// Takes the browser's answer. The invite is spent only by an answer that is good.
    ///
    /// # Errors
    /// [`GatewayError::Unauthenticated`] with the reason.
    pub async fn finish_enrolment(
        self: &Arc<Self>,
        invite: &str,
        label: &str,
        response: &[u8],
    ) -> Result<Enrolment, GatewayError> {
        let (token, invite) = self.read_invite(invite).await?;
        let enrolled = self.enrolled(response, label).await?;
        if enrolled.login.person() != invite.person {
            return Err(refused(IdentityError::OtherPerson));
        }
        if self.store.take(&token.vault_key()).await?.is_none() {
            return Err(refused(IdentityError::Expired("invite")));
        }
        match invite.by {
            Some(Principal::Person(inviter)) => {
                let fingerprint = enrolled.passkey.fingerprint();
                let held = self.propose_first_key(inviter, invite.person, enrolled.passkey).await?;
                Ok(Enrolment::Held(HeldKey { held, fingerprint }))
            }
            Some(Principal::Agent(_)) => Err(refused(IdentityError::OtherPerson)),
            // The first administrator: nobody is there who could sign for the key, and its entry names nobody.
            None => {
                let directory = self.store.directory();
                if !directory.is_bootstrapping() {
                    return Err(refused(IdentityError::Expired("invite")));
                }
                if directory.person(invite.person).is_none_or(|person| !person.keys.is_empty()) {
                    return Err(refused(IdentityError::Expired("invite")));
                }
                let event = DirectoryEvent::KeyEnrolled { person: invite.person, key: enrolled.passkey };
                let change = Change { event, by: None, approval: None };
                self.store.change(directory.version(), vec![change]).await?;
                self.open_session(&enrolled.login, SessionKind::Console).await.map(Enrolment::Done)
            }
        }
    }

    /// Options for a further passkey of somebody who has just used one.
    ///
    /// # Errors
    /// [`GatewayError::StepUp`].
    pub async fn begin_further_key(&self, human: &Human) -> Result<serde_json::Value, GatewayError> {
        self.require_console(human)?;
        self.require_step_up(human)?;
        self.creation_options(human.person).await
    }

    /// Takes the browser's answer for a further passkey, and asks an administrator to sign for it.
    ///
    /// # Errors
    /// [`GatewayError::StepUp`], [`GatewayError::Unauthenticated`] with the reason.
    pub async fn finish_further_key(
        self: &Arc<Self>,
        human: &Human,
        label: &str,
        response: &[u8],
    ) -> Result<HeldKey, GatewayError> {
        self.require_console(human)?;
        self.require_step_up(human)?;
        let enrolled = self.enrolled(response, label).await?;
        if enrolled.login.person() != human.person {
            return Err(refused(IdentityError::OtherPerson));
        }
        let fingerprint = enrolled.passkey.fingerprint();
        let event = DirectoryEvent::KeyEnrolled { person: human.person, key: enrolled.passkey };
        let held = self.propose_own_key(human.person, event).await?;
        Ok(HeldKey { held, fingerprint })
    }

    /// What the owner of an SSH key on a security key signs with it, to enrol it: its bytes, and the message for
    /// `ssh-keygen -Y sign`. `line` is the line of its `.pub` file.
    ///
    /// A command line may begin this: the signature shows that the owner holds the key, and nothing comes of it
    /// before an administrator has signed for exactly this key in the console.
    ///
    /// # Errors
    /// [`GatewayError::StepUp`], [`GatewayError::Forbidden`] for a key that is on no security key.
    pub async fn begin_ssh_key(
        &self,
        human: &Human,
        line: &str,
        label: &str,
    ) -> Result<(Blob, Blob), GatewayError> {
        self.require_step_up(human)?;
        let (origin, now) = (&self.settings.origin, self.store.now());
        let enrolment =
            SshEnrolment::begin(origin, human.person, line, label, now, self.draw()?).map_err(not_taken)?;
        let person = human.person;
        let event = DirectoryEvent::SshKeyEnrolled { person, key: enrolment.key.clone() };
        self.store.directory().check(&event)?;
        let bytes = enrolment.write()?;
        self.store.keep(&enrolment.vault_key(), &bytes, limits::SSH_ENROLMENT_LIFETIME).await?;
        Ok((Blob(bytes), Blob(enrolment.message()?)))
    }

    /// Takes what `ssh-keygen` signed, and asks an administrator to sign for the key.
    ///
    /// # Errors
    /// [`GatewayError::StepUp`], [`GatewayError::Forbidden`] with the reason.
    pub async fn finish_ssh_key(
        self: &Arc<Self>,
        human: &Human,
        enrolment: &Blob,
        signature: &str,
    ) -> Result<HeldKey, GatewayError> {
        self.require_step_up(human)?;
        let begun = SshEnrolment::read(&enrolment.0).map_err(not_taken)?;
        let kept = self.store.take(&begun.vault_key()).await?;
        if kept.as_deref() != Some(enrolment.0.as_slice()) {
            return Err(not_taken(IdentityError::Expired("SSH key's enrolment")));
        }
        if begun.person != human.person {
            return Err(not_taken(IdentityError::OtherPerson));
        }
        let key = begun.finish(signature, self.store.now()).map_err(not_taken)?;
        let fingerprint = key.fingerprint();
        let event = DirectoryEvent::SshKeyEnrolled { person: human.person, key };
        let held = self.propose_own_key(human.person, event).await?;
        Ok(HeldKey { held, fingerprint })
    }

    /// Options for `navigator.credentials.get`, to sign in, or to step up where somebody is signed in.
    ///
    /// # Errors
    /// Store failures.
    pub async fn begin_login(&self, human: Option<&Human>) -> Result<serde_json::Value, GatewayError> {
        let ceremony = match human {
            Some(human) => Ceremony::StepUp { person: human.person },
            None => Ceremony::Login {},
        };
        let pending = self.draw_challenge(ceremony).await?;
        let directory = self.store.directory();
        let passkeys = self.passkeys(&directory);
        Ok(match human.and_then(|human| directory.person(human.person)) {
            Some(person) => passkeys.request_options(&pending.challenge.0, &person.keys),
            None => passkeys.login_options(&pending),
        })
    }

    /// Takes the browser's answer and opens a session.
    ///
    /// # Errors
    /// [`GatewayError::Unauthenticated`] with the reason.
    pub async fn finish_login(&self, response: &[u8]) -> Result<SignedIn, GatewayError> {
        let login = self.login(response).await?;
        self.open_session(&login, SessionKind::Console).await
    }

    /// Takes the browser's answer and marks the session as fresh.
    ///
    /// # Errors
    /// [`GatewayError::Unauthenticated`] with the reason.
    pub async fn finish_step_up(&self, human: &Human, response: &[u8]) -> Result<(), GatewayError> {
        let login = self.login(response).await?;
        let session = human.session.step_up(&login).map_err(refused)?;
        // Whoever signed out in the meantime stays out.
        if self.store.take(&human.token.vault_key()).await?.is_none() {
            return Err(refused(IdentityError::Expired("session")));
        }
        self.keep_session(&human.token, &session).await
    }

    /// Admits a human by their session's token. Person and passkey are looked up anew each time.
    ///
    /// # Errors
    /// [`GatewayError::Unauthenticated`], in the same words whatever was wrong.
    pub async fn admit_session(&self, token: &str) -> Result<Human, GatewayError> {
        let token = SessionToken::read(token).map_err(refused)?;
        let Some(bytes) = self.store.look(&token.vault_key()).await? else {
            return Err(refused(IdentityError::Expired("session")));
        };
        let session = Session::read(&bytes, &token).map_err(refused)?;
        let directory = self.store.directory();
        let now = self.store.now();
        identity::chain_of_session(&session, &directory, now).map_err(refused)?;
        // A session is not written back when it is used: that could undo a sign-out that runs at the same time. It
        // ends a working day after its passkey was last used.
        let name = directory.person(session.person).map(|person| person.name.clone()).unwrap_or_default();
        Ok(Human { person: session.person, name, session, token })
    }

    /// Whether a session that was admitted a while ago would be admitted still. Looking does not prolong it.
    ///
    /// # Errors
    /// Store failures.
    pub async fn is_signed_in(&self, human: &Human) -> Result<bool, GatewayError> {
        let Some(bytes) = self.store.look(&human.token.vault_key()).await? else { return Ok(false) };
        let Ok(session) = Session::read(&bytes, &human.token) else { return Ok(false) };
        Ok(identity::chain_of_session(&session, &self.store.directory(), self.store.now()).is_ok())
    }

    /// Whether this human has used a passkey recently enough for what asks for a step-up.
    #[must_use]
    pub fn is_stepped_up(&self, human: &Human) -> bool {
        human.session.is_stepped_up(self.store.now())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Store failures.
    pub async fn sign_out(&self, human: &Human) -> Result<(), GatewayError> {
        self.store.take(&human.token.vault_key()).await?;
        Ok(())
    }

    /// Ends every session of a person.
    ///
    /// # Errors
    /// Store failures.
    pub async fn sign_out_everywhere(&self, human: &Human) -> Result<u64, GatewayError> {
        Ok(self.store.forget(&SessionToken::prefix(human.person)).await?)
    }

    /// A human as a caller of actions.
    #[must_use]
    pub fn caller_of(&self, human: &Human) -> Caller {
        Caller::of(domain::principal::Chain::person(human.person))
    }

    /// Begins the command line's sign-in: a secret for it to poll with, and a code for its human to compare.
    ///
    /// # Errors
    /// Store failures.
    pub async fn begin_cli_login(&self) -> Result<(String, String), GatewayError> {
        let secret = InviteToken::new(self.draw()?);
        let code = self.draw_code()?;
        let login = CliLogin { code: code.clone(), session: None };
        let bytes = domain::canonical::write(&login)?;
        self.store.keep(&format!("cli/{}", secret.vault_key()), &bytes, CLI_LOGIN_LIFETIME).await?;
        let pointer = secret.expose();
        self.store.keep(&format!("cli-code/{code}"), pointer.as_bytes(), CLI_LOGIN_LIFETIME).await?;
        Ok((pointer, code))
    }

    /// A code for people to type or compare: consonants only, nothing to misread and no words.
    pub(crate) fn draw_code(&self) -> Result<String, GatewayError> {
        const LETTERS: &[u8; 16] = b"BCDFGHJKLMNPQRST";
        let code: [u8; 8] = self.draw()?;
        Ok(code
            .iter()
            .filter_map(|byte| LETTERS.get(usize::from(byte & 15)).copied().map(char::from))
            .collect())
    }

    /// A human who has just used a passkey lets the command line with this code act for them. Such a session
    /// can propose, and never review.
    ///
    /// # Errors
    /// [`GatewayError::StepUp`], [`GatewayError::NotFound`] for an unknown code.
    pub async fn confirm_cli_login(&self, human: &Human, code: &str) -> Result<(), GatewayError> {
        self.require_console(human)?;
        self.require_step_up(human)?;
        let checked = human.session.authenticated_at.after(Span::from_seconds(CLI_CONFIRM_SECONDS));
        if self.store.now() >= checked {
            return Err(GatewayError::StepUp);
        }
        let unknown = || GatewayError::NotFound("sign-in code");
        let pointer = self.store.take(&format!("cli-code/{code}")).await?.ok_or_else(unknown)?;
        let pointer = String::from_utf8(pointer).map_err(|_| unknown())?;
        let secret = InviteToken::read(&pointer).map_err(refused)?;
        let token = SessionToken::new(human.person, self.draw()?);
        self.keep_session(&token, &human.session.for_cli()).await?;
        let login = CliLogin { code: code.to_owned(), session: Some(token.expose()) };
        let bytes = domain::canonical::write(&login)?;
        self.store.keep(&format!("cli/{}", secret.vault_key()), &bytes, CLI_LOGIN_LIFETIME).await?;
        Ok(())
    }

    /// The command line asks whether its human has confirmed; the session is handed out once.
    ///
    /// # Errors
    /// [`GatewayError::Unauthenticated`] for a secret that is unknown, spent or lapsed.
    pub async fn poll_cli_login(&self, secret: &str) -> Result<Option<String>, GatewayError> {
        let secret = InviteToken::read(secret).map_err(refused)?;
        let key = format!("cli/{}", secret.vault_key());
        let Some(bytes) = self.store.look(&key).await? else {
            return Err(refused(IdentityError::Expired("sign-in")));
        };
        let login: CliLogin = domain::canonical::read(&bytes)?;
        if login.session.is_some() && self.store.take(&key).await?.is_none() {
            return Err(refused(IdentityError::Expired("sign-in")));
        }
        Ok(login.session)
    }

    /// The command line's session can be read by whatever runs as its human, an agent included. It proposes; it
    /// makes no keys, lets nobody in, and reviews nothing.
    pub(crate) fn require_console(&self, human: &Human) -> Result<(), GatewayError> {
        match human.session.kind {
            SessionKind::Console => Ok(()),
            SessionKind::Cli => {
                Err(GatewayError::Forbidden("do this in the console, with your passkey".to_owned()))
            }
        }
    }

    pub(crate) fn require_step_up(&self, human: &Human) -> Result<(), GatewayError> {
        if human.session.is_stepped_up(self.store.now()) { Ok(()) } else { Err(GatewayError::StepUp) }
    }

    pub(crate) fn passkeys<'a>(&'a self, directory: &'a domain::directory::Directory) -> Passkeys<'a> {
        Passkeys { directory, relying_party: &self.settings.relying_party, now: self.store.now() }
    }

    /// An invitation that is known, fresh, and for somebody without a key: a first enrolment voids all others.
    async fn read_invite(&self, token: &str) -> Result<(InviteToken, Invite), GatewayError> {
        let token = InviteToken::read(token).map_err(refused)?;
        let Some(bytes) = self.store.look(&token.vault_key()).await? else {
            return Err(refused(IdentityError::Expired("invite")));
        };
        let invite = Invite::read(&bytes, self.store.now()).map_err(refused)?;
        let directory = self.store.directory();
        if directory.person(invite.person).is_none_or(|person| !person.keys.is_empty()) {
            return Err(refused(IdentityError::Expired("invite")));
        }
        Ok((token, invite))
    }

    async fn creation_options(&self, person: PersonId) -> Result<serde_json::Value, GatewayError> {
        let pending = self.draw_challenge(Ceremony::Enrol { person }).await?;
        let directory = self.store.directory();
        let person: &Person = directory.person(person).ok_or(GatewayError::NotFound("person"))?;
        Ok(self.passkeys(&directory).creation_options(person, &pending))
    }

    async fn draw_challenge(&self, ceremony: Ceremony) -> Result<Pending, GatewayError> {
        let pending = Pending::new(ceremony, self.store.now(), self.draw()?);
        self.store.keep(&pending.vault_key(), &pending.write()?, limits::PASSKEY_CHALLENGE_LIFETIME).await?;
        Ok(pending)
    }

    /// The challenge that an answer says it answers, taken out: whatever the check says, it is spent.
    async fn take_challenge(&self, response: &[u8]) -> Result<Pending, GatewayError> {
        let key = Pending::vault_key_of(response).map_err(refused)?;
        let Some(bytes) = self.store.take(&key).await? else {
            return Err(refused(IdentityError::Expired("challenge")));
        };
        Pending::read(&bytes).map_err(refused)
    }

    async fn enrolled(&self, response: &[u8], label: &str) -> Result<identity::Enrolled, GatewayError> {
        let pending = self.take_challenge(response).await?;
        let directory = self.store.directory();
        self.passkeys(&directory).enrol(&pending, response, label).map_err(refused)
    }

    async fn login(&self, response: &[u8]) -> Result<Login, GatewayError> {
        let pending = self.take_challenge(response).await?;
        let directory = self.store.directory();
        self.passkeys(&directory).login(&pending, response).map_err(refused)
    }

    async fn open_session(&self, login: &Login, kind: SessionKind) -> Result<SignedIn, GatewayError> {
        let token = SessionToken::new(login.person(), self.draw()?);
        let session = Session::open(login, kind, self.draw()?);
        self.keep_session(&token, &session).await?;
        Ok(SignedIn { token, person: login.person() })
    }

    async fn keep_session(&self, token: &SessionToken, session: &Session) -> Result<(), GatewayError> {
        let lifetime = session.lifetime(self.store.now());
        Ok(self.store.keep(&token.vault_key(), &session.write()?, lifetime).await?)
    }
}

/// A key or a signature of somebody who is signed in: what is wrong is theirs to read, and the session stays good.
fn not_taken(error: IdentityError) -> GatewayError {
    tracing::info!(reason = %error, "refused an SSH key");
    GatewayError::Forbidden(error.to_string())
}

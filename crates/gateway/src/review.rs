//! **review**: a human is handed one statement, signs it with a key of theirs, and the checked review enters the
//! approval. Which group it counts under is ours to say, not the page's.
//!
//! A passkey signs in the console. At a terminal an SSH key on a security key signs; there the session only fetches
//! and carries, since whatever runs as its human can read it, and the signature is all the authority there is. What
//! was prepared for one of the two is submitted by no other.

use std::sync::Arc;

use domain::Refusal;
use domain::approval::{Approval, Command};
use domain::commitment::{Disclosure, disclosed_root};
use domain::digest::{Blob, Digest};
use domain::entry;
use domain::id::{ActionId, GroupName, PersonId, QuestionId};
use domain::later::may_look_as;
use domain::principal::Principal;
use domain::requirement::{Assurance, Requirement};
use domain::review::{CheckedReview, Proof, SignedReview, may_review_own};
use domain::statement::{EvaluationRef, GrantBounds, Statement, Verdict};
use domain::time::Span;
use serde::Serialize;
use store::{Effect, Summary};

use crate::admit::refused;
use crate::people::Human;
use crate::reveal::Viewer;
use crate::{Gateway, GatewayError, limits};

/// A statement ready to be signed.
#[derive(Debug, Clone, Serialize)]
pub struct Prepared {
    /// The exact bytes, base64url.
    pub statement: Blob,
    /// What `navigator.credentials.get` takes: `PublicKeyCredentialRequestOptionsJSON`.
    pub options: serde_json::Value,
}

/// What a person may see and do of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Whether this person may approve now.
    pub may_approve: bool,
    /// Whether this person may deny or ask.
    pub may_deny: bool,
    /// The group under which an approval would count.
    pub group: Option<GroupName>,
    /// The group under which this person may break glass: approve alone, with a reason that stands on record.
    pub glass: Option<GroupName>,
    /// Why they may not approve, in words, where not.
    pub why_not: Option<String>,
}

impl Standing {
    fn none(why: String) -> Self {
        Self { may_approve: false, may_deny: false, group: None, glass: None, why_not: Some(why) }
    }
}

impl Gateway {
    /// The approval, if this person may see it: a reviewer of an asked group, somebody of the chain, or an
    /// administrator.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] otherwise, so that ids say nothing.
    pub async fn approval_for(&self, id: ActionId, human: &Human) -> Result<Summary, GatewayError> {
        let summary = self.store.approval(id).await?;
        let directory = self.store.directory();
        if may_see(&summary, &directory, human.person) {
            Ok(summary)
        } else {
            Err(GatewayError::NotFound("approval"))
        }
    }

    /// Whether this person may see an approval; see [`Gateway::approval_for`].
    #[must_use]
    pub fn may_see(&self, summary: &Summary, person: PersonId) -> bool {
        may_see(summary, &self.store.directory(), person)
    }

    /// What this person may do about an approval, and why.
    #[must_use]
    pub fn standing(&self, summary: &Summary, person: PersonId) -> Standing {
        let no = |why: &str| Standing::none(why.to_owned());
        if !matches!(summary.approval, Approval::Pending(_) | Approval::Approved(_)) {
            return no(&format!("the request is {} already", summary.approval.word()));
        }
        let directory = self.store.directory();
        let case = summary.approval.case();
        let Some(requirement) = case.evaluation.requirement() else {
            return no("policy asks nobody any more");
        };
        let Some(known) = directory.person(person).filter(|person| person.active) else {
            return no("you are not active");
        };
        let asked = known.groups.iter().any(|group| requirement.asks_for(group));
        if !asked && !known.groups.iter().any(|group| requirement.lets_break_glass(group)) {
            return no("no rule that holds this asks for a group of yours");
        }
        let but_deny = |why: &str| Standing { may_deny: asked, ..no(why) };
        let chain = &case.chain;
        let controls = match chain.caller {
            Principal::Agent(agent) => directory.agent(agent).is_some_and(|agent| agent.sponsor == person),
            Principal::Person(caller) => caller == person,
        };
        let own = may_review_own(person, &summary.action, requirement);
        let on_chain = chain.contains(person) || controls;
        if on_chain && !own {
            return but_deny("you stand on this action's chain; somebody else must review it");
        }
        if case.reviewed_by(person) {
            return but_deny("you have approved already; one human counts once");
        }
        let mut glass = requirement.open_glass(&case.approvals()).into_iter();
        let glass = glass.find(|group| !on_chain && known.groups.contains(group));
        // Of the groups that still wait, the one with the fewest other people who could serve it.
        let group = case
            .open()
            .into_iter()
            .filter(|progress| known.groups.contains(&progress.group))
            .min_by_key(|progress| directory.members(&progress.group).count())
            .map(|progress| progress.group);
        match group {
            Some(group) => {
                Standing { may_approve: true, may_deny: true, group: Some(group), glass, why_not: None }
            }
            None if asked => Standing { glass, ..but_deny("your groups have approved already") },
            None => Standing { glass, ..no("your group may only break glass here, in an emergency") },
        }
    }

    /// Prepares the statement of one verdict for one human over one page. `displayed` is the digest of the
    /// card that the page showed; when the card has changed since, the page is stale.
    ///
    /// # Errors
    /// [`GatewayError::Stale`], [`GatewayError::Forbidden`] with the reason why this person may not.
    pub async fn prepare_review(
        &self,
        id: ActionId,
        human: &Human,
        verdict: Verdict,
        note: Option<String>,
        displayed: Digest,
    ) -> Result<Prepared, GatewayError> {
        self.prepare(id, human, Said::Verdict(verdict), note, displayed).await
    }

    /// Prepares the statement of one human who breaks glass: who approves alone what others should have looked at,
    /// because it cannot wait, and says why. Otherwise as [`Gateway::prepare_review`].
    ///
    /// # Errors
    /// [`GatewayError::Stale`], [`GatewayError::Forbidden`] with the reason why this person may not.
    pub async fn prepare_break_glass(
        &self,
        id: ActionId,
        human: &Human,
        reason: String,
        displayed: Digest,
    ) -> Result<Prepared, GatewayError> {
        if reason.trim().is_empty() {
            return Err(GatewayError::Forbidden("breaking glass takes a reason; state it".to_owned()));
        }
        self.prepare(id, human, Said::BreakGlass, Some(reason), displayed).await
    }

    async fn prepare(
        &self,
        id: ActionId,
        human: &Human,
        said: Said,
        note: Option<String>,
        displayed: Digest,
    ) -> Result<Prepared, GatewayError> {
        let summary = self.approval_for(id, human).await?;
        let standing = self.standing(&summary, human.person);
        let (verdict, break_glass) = match said {
            Said::Verdict(verdict) => (verdict, false),
            Said::BreakGlass => (Verdict::Approve, true),
        };
        let allowed = match said {
            Said::Verdict(Verdict::Approve | Verdict::Ask) => standing.may_approve,
            Said::Verdict(Verdict::Deny) => standing.may_deny,
            Said::BreakGlass => standing.glass.is_some(),
        };
        if !allowed {
            let why = match said {
                Said::Verdict(_) => {
                    standing.why_not.unwrap_or_else(|| "you may not review this request".to_owned())
                }
                Said::BreakGlass => "no rule that holds this lets you break glass now".to_owned(),
            };
            self.record_refusal(id, human.person, &why).await?;
            return Err(GatewayError::Forbidden(why));
        }
        let card = self.card_for(&summary, Viewer::Person(human.person)).await?;
        if card.digest()? != displayed {
            return Err(GatewayError::Stale(
                "the request has changed since this page was shown; look again".to_owned(),
            ));
        }
        if verdict == Verdict::Approve && !card.masked.is_empty() {
            self.require_reveal(&summary, human).await?;
        }
        let signer = self.signer(human)?;
        let opened = self.opened_for(signer, id, human.person).await?;
        if verdict == Verdict::Approve && !card.complete && !opened {
            let why = "the payload is larger than this page; open it in full before you approve";
            return Err(GatewayError::Forbidden(why.to_owned()));
        }
        let case = summary.approval.case();
        let requirement = case
            .evaluation
            .requirement()
            .cloned()
            .ok_or_else(|| GatewayError::Stale("policy asks nobody any more; look again".to_owned()))?;
        let group = match said {
            Said::Verdict(Verdict::Approve) => standing.group,
            Said::Verdict(Verdict::Deny | Verdict::Ask) => None,
            Said::BreakGlass => standing.glass,
        };
        let (reviewer, assurance) = (human.person, Assurance::Passkey);
        let stated = Stated { verdict, note, group, reviewer, assurance, displayed, break_glass };
        let statement = self.statement(&summary, &requirement, stated)?;
        let nonce = statement.nonce.0.clone();
        let bytes = statement.write()?;
        self.store.keep(&signer.vault_key(&nonce), &bytes, identity::limits::STATEMENT_LIFETIME).await?;
        let directory = self.store.directory();
        let challenge = assertion::statement_challenge(&bytes);
        let keys = directory.person(human.person).map(|person| person.keys.as_slice()).unwrap_or_default();
        let options = self.passkeys(&directory).request_options(&challenge, keys);
        Ok(Prepared { statement: Blob(bytes), options })
    }

    /// The statement of one verdict over a request as it stands, with a nonce of its own.
    pub(crate) fn statement(
        &self,
        summary: &Summary,
        requirement: &Requirement,
        stated: Stated,
    ) -> Result<Statement, GatewayError> {
        let evaluation = &summary.approval.case().evaluation;
        let nonce: [u8; 32] = self.draw()?;
        let Stated { verdict, note, group, reviewer, assurance, displayed, break_glass } = stated;
        Ok(Statement {
            v: 1,
            origin: self.settings.origin.clone(),
            approval: summary.action.id(),
            action: summary.action.digest(),
            evaluation: EvaluationRef {
                digest: evaluation.digest()?,
                policy: evaluation.policy,
                requirement: requirement.clone(),
            },
            verdict,
            note,
            group,
            grant: GrantBounds { uses: 1, seconds: requirement.grant },
            effects: std::collections::BTreeMap::new(),
            reviewer,
            assurance,
            nonce: Blob(nonce.to_vec()),
            expires: self.store.now().after(identity::limits::STATEMENT_LIFETIME),
            displayed,
            break_glass,
        })
    }

    /// How the human of this session signs.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] at a command line whose human has no SSH key enrolled.
    pub(crate) fn signer(&self, human: &Human) -> Result<Signer, GatewayError> {
        if self.require_console(human).is_ok() {
            return Ok(Signer::Passkey);
        }
        let directory = self.store.directory();
        if directory.person(human.person).is_some_and(|person| !person.ssh_keys.is_empty()) {
            return Ok(Signer::SshKey);
        }
        let why = "do this in the console, with your passkey; a terminal needs an SSH key on a security key, enrolled";
        Err(GatewayError::Forbidden(why.to_owned()))
    }

    /// Takes a statement signed with a passkey, in the console. What we handed out is looked up by its nonce and
    /// spent, so nothing that a page made up, and nothing twice, comes through here. `response` is the browser's
    /// answer (`PublicKeyCredential.toJSON()`).
    ///
    /// # Errors
    /// The domain's refusal, which is logged too.
    pub async fn submit_review(
        self: &Arc<Self>,
        id: ActionId,
        human: &Human,
        statement: &Blob,
        response: &[u8],
    ) -> Result<Summary, GatewayError> {
        let taken = self.take_review(id, human, statement, Signature::Passkey(response)).await;
        self.refusal_recorded(id, human, taken).await
    }

    /// Takes a statement signed at a terminal: what `ssh-keygen -Y sign` wrote, in its armour. The same holds as in
    /// [`Gateway::submit_review`].
    ///
    /// # Errors
    /// The domain's refusal, which is logged too.
    pub async fn submit_ssh_review(
        self: &Arc<Self>,
        id: ActionId,
        human: &Human,
        statement: &Blob,
        signature: &str,
    ) -> Result<Summary, GatewayError> {
        let taken = self.take_review(id, human, statement, Signature::SshKey(signature)).await;
        self.refusal_recorded(id, human, taken).await
    }

    /// Puts the refusal of a signed statement, of whatever kind, on record.
    ///
    /// # Errors
    /// What was answered, and store failures.
    pub(crate) async fn refusal_recorded<T>(
        &self,
        id: ActionId,
        human: &Human,
        taken: Result<T, GatewayError>,
    ) -> Result<T, GatewayError> {
        if let Err(GatewayError::Refused(refusal)) = &taken {
            self.record_refusal(id, human.person, &refusal.to_string()).await?;
            metrics::counter!("countersign_reviews_refused_total", "reason" => refusal.code()).increment(1);
        }
        taken
    }

    /// Spends a statement that was handed out to be signed: what a page made up, and what came before, is none.
    ///
    /// # Errors
    /// [`Refusal::StatementExpired`].
    pub(crate) async fn spend_statement(&self, key: &str, bytes: &Blob) -> Result<(), GatewayError> {
        let handed_out = self.store.take(key).await?;
        if handed_out.as_deref() == Some(bytes.0.as_slice()) {
            Ok(())
        } else {
            Err(Refusal::StatementExpired.into())
        }
    }

    async fn take_review(
        self: &Arc<Self>,
        id: ActionId,
        human: &Human,
        bytes: &Blob,
        signature: Signature<'_>,
    ) -> Result<Summary, GatewayError> {
        let statement = Statement::read(&bytes.0)?;
        if statement.reviewer != human.person || statement.approval != id {
            return Err(Refusal::OtherAction.into());
        }
        self.spend_statement(&signature.signer().vault_key(&statement.nonce.0), bytes).await?;
        let summary = self.approval_for(id, human).await?;
        let Some(requirement) = summary.approval.case().evaluation.requirement().cloned() else {
            return Err(Refusal::Stale.into());
        };
        if signature.signer() == Signer::Passkey {
            self.require_console(human)?;
        }
        let signed = SignedReview { statement: bytes.clone(), proof: signature.proof()? };
        let directory = self.store.directory();
        let verifier = identity::DirectoryVerifier {
            directory: &directory,
            relying_party: &self.settings.relying_party,
        };
        let review =
            CheckedReview::check(signed, &summary.action, &requirement, &self.settings.origin, &verifier)?;
        let question = QuestionId::new(self.store.now(), &self.draw()?);
        // The reviewer's standing is checked over this version of the directory, and committed over it.
        let effect = Effect { directory: Some(directory.version()), ..Effect::default() };
        self.store.advance(id, Command::Review { review, question }, effect).await?;
        metrics::counter!("countersign_reviews_total", "verdict" => format!("{:?}", statement.verdict).to_lowercase())
            .increment(1);
        if statement.break_glass {
            let group = statement.group.as_ref().map(ToString::to_string).unwrap_or_default();
            metrics::counter!("countersign_break_glass_total", "group" => group.clone()).increment(1);
            tracing::error!(%id, person = %statement.reviewer, group, "break-glass: one human approved alone");
        }
        Ok(self.store.approval(id).await?)
    }

    /// The payload whole, for a reviewer; that it was opened is logged, and lets them approve if it was opened
    /// in the console. Nothing in it is masked: where something would be, only those with the right open it.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`]; [`GatewayError::Forbidden`] without the right; store failures.
    pub async fn open_payload(&self, id: ActionId, human: &Human) -> Result<Vec<Disclosure>, GatewayError> {
        let summary = self.approval_for(id, human).await?;
        let payload = self.payload_of(&summary).await?;
        let masked = self.card(&summary).await?.masked;
        if !masked.is_empty() {
            self.require_reveal(&summary, human).await?;
        }
        self.record_reveal(id, human.person, None).await?;
        // Whatever runs as its human can read the command line's session: that is no human's having seen it.
        let mark: &[u8] = if self.require_console(human).is_ok() { SEEN } else { TAKEN };
        if mark == SEEN || !self.has_opened(id, human.person).await? {
            let lifetime = Span::from_seconds(domain::time::SPAN_LIMIT_SECONDS);
            self.store.keep(&opened_key(id, human.person), mark, lifetime).await?;
        }
        if mark == SEEN {
            let in_payload = |path: &str| {
                payload.iter().any(|field| matches!(field, Disclosure::Open(open) if open.path == path))
            };
            let shown = masked.into_iter().map(|field| field.path).filter(|path| in_payload(path));
            self.keep_revealed(id, human.person, shown).await?;
        }
        Ok(payload)
    }

    /// The payload as it is shown: all of what was asked for, each part open or erased, and nothing else.
    pub(crate) async fn payload_of(&self, summary: &Summary) -> Result<Vec<Disclosure>, GatewayError> {
        let payload = self.store.payload(summary.action.id()).await?;
        if disclosed_root(&payload)? != summary.action.parts().payload {
            tracing::error!(id = %summary.action.id(), "the stored payload does not match the action's digest");
            metrics::counter!("countersign_alarms_total", "kind" => "altered-payload").increment(1);
            return Err(domain::Malformed::Digest("the stored payload").into());
        }
        Ok(payload)
    }

    /// Whether this person has opened the payload in full, by whatever session, which is on record.
    ///
    /// # Errors
    /// Store failures.
    pub async fn has_opened(&self, id: ActionId, person: PersonId) -> Result<bool, GatewayError> {
        Ok(self.store.look(&opened_key(id, person)).await?.is_some())
    }

    /// Whether this person has opened the payload where they sign. A terminal that has taken it has it all to show; the
    /// human who signs is asked there.
    pub(crate) async fn opened_for(
        &self,
        signer: Signer,
        id: ActionId,
        person: PersonId,
    ) -> Result<bool, GatewayError> {
        match signer {
            Signer::Passkey => self.has_seen(id, person).await,
            Signer::SshKey => self.has_opened(id, person).await,
        }
    }

    /// Whether this person has opened it in the console, and so can have seen it.
    async fn has_seen(&self, id: ActionId, person: PersonId) -> Result<bool, GatewayError> {
        Ok(self.store.look(&opened_key(id, person)).await?.as_deref() == Some(SEEN))
    }

    /// An answer to a reviewer's question, from somebody of the chain.
    ///
    /// # Errors
    /// The domain's refusal.
    pub async fn answer(
        &self,
        id: ActionId,
        by: Principal,
        question: QuestionId,
        text: String,
    ) -> Result<(), GatewayError> {
        self.on_chain(id, by).await?;
        self.store.advance(id, Command::Answer { question, by, text }, Effect::default()).await?;
        Ok(())
    }

    /// The asker takes their question back, in the console: what it kept from running may run then.
    ///
    /// # Errors
    /// The domain's refusal; [`GatewayError::Forbidden`] elsewhere.
    pub async fn withdraw(
        &self,
        id: ActionId,
        human: &Human,
        question: QuestionId,
    ) -> Result<(), GatewayError> {
        self.require_console(human)?;
        self.approval_for(id, human).await?;
        let command = Command::Withdraw { question, by: human.person };
        self.store.advance(id, command, Effect::default()).await?;
        Ok(())
    }

    /// Those who asked take the request back.
    ///
    /// # Errors
    /// The domain's refusal.
    pub async fn cancel(&self, id: ActionId, by: Principal, reason: String) -> Result<(), GatewayError> {
        self.on_chain(id, by).await?;
        self.store.advance(id, Command::Cancel { by, reason }, Effect::default()).await?;
        Ok(())
    }

    /// An approval as one of its chain sees it.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] for everybody else.
    pub async fn on_chain(&self, id: ActionId, by: Principal) -> Result<Summary, GatewayError> {
        let summary = self.store.approval(id).await?;
        if summary.action.chain().parties().any(|party| party == by) {
            Ok(summary)
        } else {
            Err(GatewayError::NotFound("approval"))
        }
    }

    pub(crate) async fn record_refusal(
        &self,
        id: ActionId,
        person: PersonId,
        why: &str,
    ) -> Result<(), GatewayError> {
        let fields = vec![
            ("by".to_owned(), Principal::Person(person).to_string().into_bytes()),
            ("why".to_owned(), domain::text::cut(why, 1_000).as_bytes().to_vec()),
        ];
        let draft = entry::Draft { kind: entry::Kind::Refusal, subject: Some(id.to_string()), fields };
        self.store.record(draft).await?;
        Ok(())
    }
}

/// The payload was opened in the console.
const SEEN: &[u8] = b"seen";
/// The payload was taken by the command line.
const TAKEN: &[u8] = b"taken";

fn opened_key(id: ActionId, person: PersonId) -> String {
    format!("opened/{id}/{person}")
}

/// What a statement says that its request does not.
#[derive(Debug)]
pub(crate) struct Stated {
    pub(crate) verdict: Verdict,
    pub(crate) note: Option<String>,
    pub(crate) group: Option<GroupName>,
    pub(crate) reviewer: PersonId,
    pub(crate) assurance: Assurance,
    pub(crate) displayed: Digest,
    pub(crate) break_glass: bool,
}

/// What a human says by a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// A verdict of the ordinary way.
    Verdict(Verdict),
    /// That they approve alone, by breaking glass.
    BreakGlass,
}

/// With what a statement is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signer {
    /// A passkey, in the console.
    Passkey,
    /// An SSH key on a security key, at a terminal.
    SshKey,
}

impl Signer {
    /// Where a statement waits to be signed.
    pub(crate) fn vault_key(self, nonce: &[u8]) -> String {
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Passkey => format!("statement/{nonce}"),
            Self::SshKey => format!("statement/ssh/{nonce}"),
        }
    }
}

/// What came back with a statement, not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signature<'a> {
    /// The browser's answer (`PublicKeyCredential.toJSON()`).
    Passkey(&'a [u8]),
    /// What `ssh-keygen -Y sign` wrote, in its armour.
    SshKey(&'a str),
}

impl Signature<'_> {
    pub(crate) fn signer(self) -> Signer {
        match self {
            Self::Passkey(_) => Signer::Passkey,
            Self::SshKey(_) => Signer::SshKey,
        }
    }

    /// The proof in it, which says nothing before it is checked.
    ///
    /// # Errors
    /// What is no such signature.
    pub(crate) fn proof(self) -> Result<Proof, GatewayError> {
        match self {
            Self::Passkey(response) => identity::review_proof(response).map_err(refused),
            Self::SshKey(signature) => identity::ssh_review_proof(signature)
                .map_err(|why| Refusal::Signature(why.to_string()).into()),
        }
    }
}

pub(crate) fn may_see(summary: &Summary, directory: &domain::directory::Directory, person: PersonId) -> bool {
    let Some(known) = directory.person(person).filter(|person| person.active) else { return false };
    let case = summary.approval.case();
    let asked = case
        .evaluation
        .requirement()
        .is_some_and(|requirement| known.groups.iter().any(|group| requirement.concerns(group)));
    asked
        || case.chain.contains(person)
        || known.groups.contains(&GroupName::admins())
        || case.reviewed_by(person)
        // Who was passed over looks at it afterwards, whatever policy asks for by then.
        || (case.broken_glass().next().is_some()
            && known.groups.iter().any(|group| may_look_as(case).contains(group)))
}

// The limit on what a page shows is part of what completeness means.
const _: () = assert!(limits::SHOWN_PAYLOAD_BYTES <= limits::HELD_PAYLOAD_BYTES);

//! The card: everything that a reviewer decides by, as facts from the gateway, in the order of deciding. Its
//! digest stands in the signed statement as what was displayed.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::action::{Level, Point};
use domain::approval::{Case, Settled};
use domain::commitment::Disclosure;
use domain::digest::{Digest, Purpose};
use domain::directory::Directory;
use domain::evaluation::DecidingRule;
use domain::id::ActionId;
use domain::principal::{Principal, Role};
use domain::requirement::Requirement;
use domain::text::{Piece, pieces};
use domain::time::Timestamp;
use mask::Masked;
use serde::Serialize;
use store::Summary;

use crate::reveal::{self, Masking, Viewer};
use crate::risk::{self, Risk};
use crate::{Gateway, GatewayError, limits};

/// What a reviewer is shown. Whatever can change while the same statement stays true (approvals so far,
/// the countdown) is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Card {
    /// The version of this shape: 2.
    pub v: u8,
    /// The approval.
    pub id: ActionId,
    /// What would be done.
    pub verb: String,
    /// To what.
    pub resource: Shown,
    /// Where it stands.
    pub environment: String,
    /// Whether that is production.
    pub production: bool,
    /// In which target.
    pub target: String,
    /// How risky, and why.
    pub risk: Risk,
    /// The rules that hold it, in their authors' words.
    pub rules: Vec<DecidingRule>,
    /// What people must do.
    pub requirement: Option<Requirement>,
    /// Who asks, and everybody behind: verified by us.
    pub chain: Vec<Party>,
    /// The run, as the caller claims.
    pub run: Option<Shown>,
    /// The reason, in the caller's words: untrusted.
    pub reason: Option<Shown>,
    /// Exactly what would run.
    pub payload: Vec<Part>,
    /// How many bytes that is.
    pub payload_bytes: u64,
    /// Whether all of it stands here; where not, it is opened whole before anybody can approve.
    pub complete: bool,
    /// The fields of which something is masked here. The action's digest covers what they really are.
    pub masked: Vec<MaskedField>,
    /// Those of them that whoever looks has opened in the console, by path.
    pub revealed: Vec<String>,
    /// Where it was intercepted.
    pub point: Point,
    /// Whether the caller could go round.
    pub level: Level,
    /// With which credential, by name.
    pub credential: Option<String>,
    /// Questions and answers so far.
    pub questions: Vec<Exchange>,
    /// The digest of the exact action.
    pub action: Digest,
    /// The digest of the evaluation.
    pub evaluation: Digest,
    /// The policy set's digest.
    pub policy: Digest,
    /// When it was asked for.
    pub requested: Timestamp,
    /// When it lapses undecided.
    pub expires: Timestamp,
}

/// Words from outside, in pieces that show what is hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The pieces.
    pub pieces: Vec<Piece>,
    /// Whether any piece is marked.
    pub suspicious: bool,
}

impl Shown {
    /// Words as a reviewer must see them.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let pieces = pieces(text);
        let suspicious = pieces.iter().any(|piece| !matches!(piece, Piece::Plain(_)));
        Self { pieces, suspicious }
    }
}

/// A party of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Party {
    /// Who.
    pub principal: Principal,
    /// Their name as the directory has it.
    pub name: String,
    /// `caller`, or their role behind it.
    pub role: String,
}

/// A field of which something is masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MaskedField {
    /// Which: a part's path, or `resource`, `reason` or `run`.
    pub path: String,
    /// What is masked there, such as `card`: each class once.
    pub classes: Vec<String>,
}

impl MaskedField {
    fn new(path: &str, masked: &Masked) -> Self {
        let classes: BTreeSet<&str> = masked.findings().iter().map(|found| found.class.as_str()).collect();
        Self { path: path.to_owned(), classes: classes.into_iter().map(str::to_owned).collect() }
    }
}

/// One part of what would run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is, such as `http.body`.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// The text, where it is text.
    pub text: Option<Shown>,
    /// Base64, where it is not.
    pub base64: Option<String>,
    /// Whether this part was cut here.
    pub cut: bool,
    /// Whether it was erased.
    pub erased: bool,
}

/// A question and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// The question's id.
    pub id: domain::id::QuestionId,
    /// Who asked.
    pub by: String,
    /// The question.
    pub question: Shown,
    /// The answer, in the caller's words: untrusted.
    pub answer: Option<Shown>,
    /// Whether the asker took it back.
    pub withdrawn: bool,
}

impl Card {
    /// The digest that the signed statement names as displayed.
    ///
    /// # Errors
    /// None that a value of this type can cause.
    pub fn digest(&self) -> Result<Digest, GatewayError> {
        Ok(Digest::of(Purpose::Displayed, &domain::canonical::write(self)?))
    }
}

impl Gateway {
    /// The card of an approval, as it stands, for nobody in particular: masked, and nothing revealed.
    ///
    /// # Errors
    /// As [`Gateway::card_for`].
    pub async fn card(&self, summary: &Summary) -> Result<Card, GatewayError> {
        self.card_for(summary, Viewer::Anybody).await
    }

    /// The card of an approval, as it stands, for whoever looks.
    ///
    /// # Errors
    /// Store failures, and a route whose rules of masking cannot be read.
    pub async fn card_for(&self, summary: &Summary, viewer: Viewer) -> Result<Card, GatewayError> {
        let (action, case) = (summary.action.parts(), summary.approval.case());
        let directory = self.store.directory();
        let masking = match viewer {
            Viewer::Caller => Masking::none(),
            Viewer::Person(_) | Viewer::Anybody => Masking::of(action, &directory)?,
        };
        let fields = self.payload_of(summary).await?;
        let (payload, payload_bytes, complete, mut masked) = shown_payload(&fields, &masking);
        let mut words = |path: &str, text: &str, found: Option<Masked>| match found {
            Some(found) => {
                masked.push(MaskedField::new(path, &found));
                Shown::new(&found.to_string())
            }
            None => Shown::new(text),
        };
        let resource = words(reveal::RESOURCE, &action.resource.name, masking.name(&action.resource.name));
        let run = action.run.as_deref().map(|run| words(reveal::RUN, run, masking.words(run)));
        let reason =
            action.reason.as_deref().map(|reason| words(reveal::REASON, reason, masking.words(reason)));
        let mut revealed = match viewer {
            Viewer::Person(person) => self.revealed(action.id, person).await?,
            Viewer::Caller | Viewer::Anybody => BTreeSet::new(),
        };
        revealed.retain(|path| masked.iter().any(|field| field.path == *path));
        Ok(Card {
            v: 2,
            id: action.id,
            verb: action.verb.to_string(),
            resource,
            environment: action.resource.environment.to_string(),
            production: action.resource.is_production(),
            target: action.target.name.to_string(),
            risk: risk::of(action, &case.evaluation.facts),
            rules: case.evaluation.rules.clone(),
            requirement: case.evaluation.requirement().cloned(),
            chain: chain(action, &directory),
            run,
            reason,
            payload,
            payload_bytes,
            complete,
            masked,
            revealed: revealed.into_iter().collect(),
            point: action.point,
            level: action.level,
            credential: action.credential.as_ref().map(ToString::to_string),
            questions: exchanges(case, &directory, &masking),
            action: summary.action.digest(),
            evaluation: case.evaluation.digest()?,
            policy: case.evaluation.policy,
            requested: case.requested,
            expires: case.expires,
        })
    }
}

/// A principal's name as the directory has it.
#[must_use]
pub fn name_of(principal: Principal, directory: &Directory) -> String {
    let name = match principal {
        Principal::Agent(id) => directory.agent(id).map(|agent| agent.name.clone()),
        Principal::Person(id) => directory.person(id).map(|person| person.name.clone()),
    };
    name.unwrap_or_else(|| principal.to_string())
}

fn chain(action: &domain::action::Draft, directory: &Directory) -> Vec<Party> {
    let party = |principal, role: &str| Party {
        principal,
        name: name_of(principal, directory),
        role: role.to_owned(),
    };
    let behind = action.chain.behind.iter().map(|link| {
        let role = match link.role {
            Role::Sponsor => "sponsor",
            Role::Subject => "subject",
            Role::Delegate => "delegate",
            Role::Trigger => "trigger",
            Role::Editor => "editor",
        };
        party(link.party, role)
    });
    std::iter::once(party(action.chain.caller, "caller")).chain(behind).collect()
}

fn shown_payload(fields: &[Disclosure], masking: &Masking) -> (Vec<Part>, u64, bool, Vec<MaskedField>) {
    let mut room = limits::SHOWN_PAYLOAD_BYTES;
    let (mut total, mut complete, mut masked) = (0, true, Vec::new());
    let parts = fields
        .iter()
        .map(|field| match field {
            Disclosure::Open(open) => {
                let value = &open.value.0;
                total += value.len() as u64;
                let fits = value.len() <= room;
                room = room.saturating_sub(value.len());
                complete &= fits;
                let found = masking.field(&open.path, value);
                masked.extend(found.iter().map(|found| MaskedField::new(&open.path, found)));
                // What is no text is masked as a whole, and its mask is text.
                let shown =
                    found.map_or_else(|| Cow::Borrowed(value.as_slice()), |found| Cow::Owned(found.bytes()));
                let text = std::str::from_utf8(&shown).ok().filter(|_| fits);
                Part {
                    path: open.path.clone(),
                    bytes: value.len() as u64,
                    text: text.map(Shown::new),
                    base64: (fits && text.is_none()).then(|| STANDARD.encode(&shown)),
                    cut: !fits,
                    erased: false,
                }
            }
            Disclosure::Withheld(_) => {
                complete = false;
                Part {
                    path: "erased".to_owned(),
                    bytes: 0,
                    text: None,
                    base64: None,
                    cut: true,
                    erased: true,
                }
            }
        })
        .collect();
    (parts, total, complete, masked)
}

fn exchanges(case: &Case, directory: &Directory, masking: &Masking) -> Vec<Exchange> {
    let shown = |text: &str| match masking.words(text) {
        Some(masked) => Shown::new(&masked.to_string()),
        None => Shown::new(text),
    };
    case.questions
        .iter()
        .map(|question| Exchange {
            id: question.id,
            by: name_of(Principal::Person(question.asked.statement.reviewer), directory),
            question: shown(question.asked.statement.note.as_deref().unwrap_or_default()),
            answer: match &question.settled {
                Some(Settled::Answered { text, .. }) => Some(shown(text)),
                Some(Settled::Withdrawn(_)) | None => None,
            },
            withdrawn: matches!(question.settled, Some(Settled::Withdrawn(_))),
        })
        .collect()
}

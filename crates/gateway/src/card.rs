//! The card: everything that a reviewer decides by, as facts from the gateway, in the order of deciding. Its
//! digest stands in the signed statement as what was displayed.

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
use serde::Serialize;
use store::Summary;

use crate::risk::{self, Risk};
use crate::{Gateway, GatewayError, limits};

/// What a reviewer is shown. Whatever can change while the same statement stays true (approvals so far,
/// the countdown) is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Card {
    /// The version of this shape: 1.
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
    /// The card of an approval, as it stands.
    ///
    /// # Errors
    /// Store failures.
    pub async fn card(&self, summary: &Summary) -> Result<Card, GatewayError> {
        let (action, case) = (summary.action.parts(), summary.approval.case());
        let directory = self.store.directory();
        let (payload, payload_bytes, complete) = shown_payload(&self.payload_of(summary).await?);
        Ok(Card {
            v: 1,
            id: action.id,
            verb: action.verb.to_string(),
            resource: Shown::new(&action.resource.name),
            environment: action.resource.environment.to_string(),
            production: action.resource.is_production(),
            target: action.target.name.to_string(),
            risk: risk::of(action, &case.evaluation.facts),
            rules: case.evaluation.rules.clone(),
            requirement: case.evaluation.requirement().cloned(),
            chain: chain(action, &directory),
            run: action.run.as_deref().map(Shown::new),
            reason: action.reason.as_deref().map(Shown::new),
            payload,
            payload_bytes,
            complete,
            point: action.point,
            level: action.level,
            credential: action.credential.as_ref().map(ToString::to_string),
            questions: exchanges(case, &directory),
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

fn shown_payload(fields: &[Disclosure]) -> (Vec<Part>, u64, bool) {
    let mut room = limits::SHOWN_PAYLOAD_BYTES;
    let (mut total, mut complete) = (0, true);
    let parts = fields
        .iter()
        .map(|field| match field {
            Disclosure::Open(open) => {
                let value = &open.value.0;
                total += value.len() as u64;
                let fits = value.len() <= room;
                room = room.saturating_sub(value.len());
                complete &= fits;
                let text = std::str::from_utf8(value).ok().filter(|_| fits);
                Part {
                    path: open.path.clone(),
                    bytes: value.len() as u64,
                    text: text.map(Shown::new),
                    base64: (fits && text.is_none()).then(|| STANDARD.encode(value)),
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
    (parts, total, complete)
}

fn exchanges(case: &Case, directory: &Directory) -> Vec<Exchange> {
    case.questions
        .iter()
        .map(|question| Exchange {
            id: question.id,
            by: name_of(Principal::Person(question.asked.statement.reviewer), directory),
            question: Shown::new(question.asked.statement.note.as_deref().unwrap_or_default()),
            answer: match &question.settled {
                Some(Settled::Answered { text, .. }) => Some(Shown::new(text)),
                Some(Settled::Withdrawn(_)) | None => None,
            },
            withdrawn: matches!(question.settled, Some(Settled::Withdrawn(_))),
        })
        .collect()
}

//! Domain objects made by hand: an agent that asks, people who review, and a verifier that believes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::Refusal;
use domain::action::{self, Action, Level, Point, Resource, Target};
use domain::approval::{Approval, Command};
use domain::commitment::{Field, Fields};
use domain::digest::{Blob, Digest, Purpose};
use domain::directory::{Change, DirectoryEvent};
use domain::entry::{Draft, Kind};
use domain::evaluation::{Decision, Evaluation};
use domain::grant::Permit;
use domain::id::{ActionId, AgentId, Entropy, GrantId, GroupName, Origin, PersonId, QuestionId};
use domain::later::{CheckedLaterReview, End, Finding, LaterStatement, broken};
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::principal::{Chain, Principal};
use domain::requirement::{Assurance, Hold, Quorum, Requirement, Separation};
use domain::retry::RetryKey;
use domain::review::{CheckedReview, PasskeyProof, Proof, ReviewVerifier, SignedReview, Standing};
use domain::statement::{EvaluationRef, GrantBounds, Statement, Verdict};
use domain::time::{Span, Timestamp};

use crate::{Effect, Opened, Recorded, Request, RunWhenGone, Store, Summary};

/// How long a request of the desk waits for people.
pub const TTL: Span = Span::from_seconds(1_800);
/// How long an approval of the desk can be spent.
pub const GRANT: Span = Span::from_seconds(600);
/// How long after its end an identical call of the desk finds a request.
pub const RETRY_WINDOW: Span = Span::from_seconds(300);

/// An agent with its sponsor, at the desk of one deployment.
#[derive(Debug, Clone)]
pub struct Desk {
    origin: Origin,
    agent: AgentId,
    sponsor: PersonId,
}

/// Believes every signature; everybody stands in the group `dba`.
#[derive(Debug)]
pub struct Believer;

impl ReviewVerifier for Believer {
    fn verify(&self, _: &SignedReview, _: &Statement, _: &Action) -> Result<Standing, Refusal> {
        Ok(Standing { groups: [dba()].into(), controls_caller: false })
    }

    fn verify_later(&self, _: &SignedReview, _: &LaterStatement, _: &Action) -> Result<Standing, Refusal> {
        Ok(Standing { groups: [dba()].into(), controls_caller: false })
    }
}

/// The reviewers' group.
#[must_use]
pub fn dba() -> GroupName {
    "dba".parse().unwrap()
}

/// Ten bytes that no other call in this process answers.
#[must_use]
pub fn entropy() -> Entropy {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut entropy = Entropy::default();
    entropy[2..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    entropy
}

/// A new person's id.
#[must_use]
pub fn person() -> PersonId {
    PersonId::new(Timestamp::ZERO, &entropy())
}

/// A new question's id.
#[must_use]
pub fn question() -> QuestionId {
    QuestionId::new(Timestamp::ZERO, &entropy())
}

/// A person's coming, as a change of the directory.
#[must_use]
pub fn arrival(id: PersonId, name: &str) -> Change {
    Change { event: DirectoryEvent::PersonAdded { id, name: name.to_owned() }, by: None, approval: None }
}

/// An entry that belongs to nothing.
#[must_use]
pub fn note(text: &str) -> Draft {
    Draft { kind: Kind::Activity, subject: None, fields: vec![("text".to_owned(), text.as_bytes().to_vec())] }
}

impl Desk {
    /// A new agent's desk.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self { origin, agent: AgentId::new(Timestamp::ZERO, &entropy()), sponsor: person() }
    }

    /// The agent.
    #[must_use]
    pub fn caller(&self) -> Principal {
        Principal::Agent(self.agent)
    }

    /// The agent's sponsor.
    #[must_use]
    pub fn sponsor(&self) -> PersonId {
        self.sponsor
    }

    /// A request to delete the queue of this name: two of one name are identical calls. One `dba` approves.
    #[must_use]
    pub fn request(&self, store: &dyn Store, queue: &str) -> Request {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).unwrap();
        let payload = Fields::new(vec![
            Field::new("http.body", salt, queue.as_bytes()),
            Field::new("http.method", salt, *b"DELETE"),
        ])
        .unwrap();
        let chain = Chain::agent(self.agent, self.sponsor);
        let definition = Digest::of(Purpose::Definition, b"route");
        let action = Action::seal(action::Draft {
            v: 1,
            id: ActionId::new(store.now(), &entropy()),
            point: Point::Http,
            level: Level::Enforced,
            chain: chain.clone(),
            verb: "http.delete".parse().unwrap(),
            resource: Resource {
                name: format!("queues/{queue}"),
                environment: "staging".parse().unwrap(),
                labels: BTreeMap::new(),
            },
            target: Target { name: "broker".parse().unwrap(), definition },
            credential: None,
            session: BTreeMap::new(),
            run: None,
            reason: Some("it is empty".to_owned()),
            payload: payload.root().unwrap(),
        })
        .unwrap();
        let parts = [("http.body", queue.as_bytes())];
        Request {
            evaluation: self.evaluation(&action, store.directory().version(), 1),
            retry: RetryKey::new(&[9; 32], &chain, "broker", &definition, &parts, None),
            retry_window: RETRY_WINDOW,
            shape: "broker http.delete".to_owned(),
            run_when_gone: RunWhenGone::No,
            payload,
            action,
        }
    }

    /// Policy's answer: so many of `dba`.
    #[must_use]
    pub fn evaluation(&self, action: &Action, directory: u64, count: u8) -> Evaluation {
        let hold = Hold {
            rule: "deletes".parse().unwrap(),
            why: "deleting is for two".to_owned(),
            any_of: vec![Quorum { group: dba(), count, break_glass: false }],
        };
        Evaluation {
            v: 1,
            action: action.digest(),
            policy: Digest::of(Purpose::Policy, b"policy"),
            directory,
            facts: BTreeMap::new(),
            decision: Decision::NeedsReview(Requirement {
                holds: vec![hold],
                ttl: TTL,
                grant: GRANT,
                assurance: Assurance::Passkey,
                separation: Separation::Full,
            }),
            rules: Vec::new(),
            shadow: Vec::new(),
        }
    }

    /// Opens a new request.
    pub async fn open(&self, store: &dyn Store, queue: &str) -> ActionId {
        match store.open(self.request(store, queue)).await.unwrap() {
            Opened::New(approval) => approval.get().case().id,
            Opened::Attached(attached) => panic!("attached to {attached:?}"),
        }
    }

    /// A person's signed and checked verdict on an approval as it stands.
    #[must_use]
    pub fn review(&self, summary: &Summary, reviewer: PersonId, verdict: Verdict, now: Timestamp) -> Command {
        self.says(summary, reviewer, (verdict, false), now)
    }

    /// A person's signed and checked breaking of an approval's glass.
    #[must_use]
    pub fn break_glass(&self, summary: &Summary, reviewer: PersonId, now: Timestamp) -> Command {
        self.says(summary, reviewer, (Verdict::Approve, true), now)
    }

    /// Another person's signed and checked finding on broken glass.
    #[must_use]
    pub fn looks_back(&self, summary: &Summary, reviewer: PersonId, now: Timestamp) -> Command {
        let case = summary.approval.case();
        let statement = LaterStatement {
            v: 1,
            origin: self.origin.clone(),
            approval: case.id,
            action: case.action,
            broken: broken(case),
            end: End::of(&summary.approval).unwrap(),
            finding: Finding::Justified,
            note: "it could not wait".to_owned(),
            group: dba(),
            reviewer,
            assurance: Assurance::Passkey,
            nonce: Blob(vec![7; 32]),
            expires: now.after(Span::from_seconds(300)),
            displayed: Digest::of(Purpose::Displayed, b"page"),
        };
        let signed = signed(statement.write().unwrap());
        let review =
            CheckedLaterReview::check(signed, &summary.action, &summary.approval, &self.origin, &Believer);
        Command::LookBack(review.unwrap())
    }

    fn says(
        &self,
        summary: &Summary,
        reviewer: PersonId,
        (verdict, break_glass): (Verdict, bool),
        now: Timestamp,
    ) -> Command {
        let case = summary.approval.case();
        let requirement = case.evaluation.requirement().unwrap();
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).unwrap();
        let statement = Statement {
            v: 1,
            origin: self.origin.clone(),
            approval: case.id,
            action: case.action,
            evaluation: EvaluationRef {
                digest: case.evaluation.digest().unwrap(),
                policy: case.evaluation.policy,
                requirement: requirement.clone(),
            },
            verdict,
            note: Some("because".to_owned()),
            group: Some(dba()),
            grant: GrantBounds { uses: 1, seconds: GRANT },
            effects: BTreeMap::new(),
            reviewer,
            assurance: Assurance::Passkey,
            nonce: Blob(nonce.to_vec()),
            expires: now.after(Span::from_seconds(300)),
            displayed: Digest::of(Purpose::Displayed, b"page"),
            break_glass,
        };
        let signed = signed(statement.write().unwrap());
        let review =
            CheckedReview::check(signed, &summary.action, requirement, &self.origin, &Believer).unwrap();
        Command::Review { review, question: question() }
    }

    /// The permit to spend an approval as it stands, over this version of the directory.
    ///
    /// # Errors
    /// As [`Permit::issue`].
    pub fn permit(&self, summary: &Summary, directory: u64) -> Result<Permit, Refusal> {
        let fresh = self.evaluation(&summary.action, directory, 1);
        let grant = GrantId::new(Timestamp::ZERO, &entropy());
        Permit::issue(&summary.approval, &summary.action, fresh, &self.origin, &Believer, grant)
    }

    /// Has one person decide.
    pub async fn decide(&self, store: &dyn Store, id: ActionId, verdict: Verdict) -> Approval {
        let summary = store.approval(id).await.unwrap();
        let review = self.review(&summary, person(), verdict, store.now());
        after(store.advance(id, review, Effect::default()).await.unwrap())
    }

    /// Opens a request and has it approved.
    pub async fn approved(&self, store: &dyn Store, queue: &str) -> ActionId {
        let id = self.open(store, queue).await;
        let approval = self.decide(store, id, Verdict::Approve).await;
        assert_eq!(approval.word(), "approved");
        id
    }

    /// Spends an approved one.
    pub async fn redeem(&self, store: &Arc<dyn Store>, id: ActionId) -> Approval {
        let summary = store.approval(id).await.unwrap();
        let permit = self.permit(&summary, store.directory().version()).unwrap();
        after(store.advance(id, Command::Redeem(permit), Effect::default()).await.unwrap())
    }

    /// Opens a request and brings it to its end.
    pub async fn finished(&self, store: &Arc<dyn Store>, queue: &str) -> ActionId {
        let id = self.approved(store.as_ref(), queue).await;
        self.redeem(store, id).await;
        let finish = Command::Finish(worked());
        let approval = after(store.advance(id, finish, Effect::default()).await.unwrap());
        assert_eq!(approval.word(), "finished");
        id
    }
}

/// As nobody's passkey signs.
fn signed(statement: Vec<u8>) -> SignedReview {
    let proof = PasskeyProof {
        credential_id: Blob(vec![1; 16]),
        client_data_json: Blob(b"{}".to_vec()),
        authenticator_data: Blob(vec![2; 37]),
        signature: Blob(vec![3; 70]),
    };
    SignedReview { statement: Blob(statement), proof: Proof::Passkey(proof) }
}

/// It worked.
#[must_use]
pub fn worked() -> Outcome {
    Outcome::new(Ending::Succeeded, Witnessed::Observed, "204")
}

/// The approval after a step.
#[must_use]
pub fn after(advance: Recorded<crate::Advance>) -> Approval {
    advance.into_inner().approval
}

//! One deployment, small: an agent with a sponsor and a subject, five reviewers, three groups, and a
//! desk that answers for reviewers and whose mind can be changed.

use std::collections::{BTreeMap, BTreeSet};

use domain::Refusal;
use domain::action::{Action, Draft, Level, Point, Resource, Target};
use domain::approval::Approval;
use domain::digest::{Blob, Digest, Purpose};
use domain::evaluation::{DecidingRule, Decision, Evaluation, Fact};
use domain::event::{Dismissal, Event};
use domain::id::{ActionId, AgentId, GroupName, Origin, PersonId, QuestionId};
use domain::key::SshKey;
use domain::later::{End, Finding, LaterStatement, broken};
use domain::principal::{Chain, Link, Principal, Role};
use domain::requirement::{Assurance, Hold, Quorum, Requirement, Separation};
use domain::review::{PasskeyProof, Proof, ReviewVerifier, SignedReview, SshSigProof, Standing};
use domain::statement::{EvaluationRef, GrantBounds, Statement, Verdict};
use domain::time::{Span, Timestamp};
use uuid::Uuid;

/// 2026-01-01T00:00:00Z.
pub(crate) const START: u64 = 1_767_225_600_000_000;
/// Stands on the chain as sponsor only.
pub(crate) const SPONSOR: u8 = 0;
/// Stands on the chain as the human for whom the agent acts.
pub(crate) const SUBJECT: u8 = 1;
/// People 2 to 6 stand on no chain.
pub(crate) const PEOPLE: u8 = 7;
pub(crate) const GROUPS: [&str; 3] = ["dba", "dev", "ops"];

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(START + seconds * 1_000_000)
}

fn uuid(kind: u8, n: u8) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(kind) << 8 | u128::from(n))
}

pub(crate) fn person(n: u8) -> PersonId {
    PersonId::from_uuid(uuid(1, n))
}

pub(crate) fn agent() -> AgentId {
    AgentId::from_uuid(uuid(2, 0))
}

pub(crate) fn question(n: u8) -> QuestionId {
    QuestionId::from_uuid(uuid(3, n))
}

pub(crate) fn grant(n: u8) -> domain::id::GrantId {
    domain::id::GrantId::from_uuid(uuid(4, n))
}

pub(crate) fn group(n: usize) -> GroupName {
    GROUPS[n].parse().unwrap()
}

pub(crate) fn origin() -> Origin {
    "countersign.example/log".parse().unwrap()
}

pub(crate) fn chain() -> Chain {
    let link = |n, role| Link { party: Principal::Person(person(n)), role };
    Chain {
        caller: Principal::Agent(agent()),
        behind: vec![link(SPONSOR, Role::Sponsor), link(SUBJECT, Role::Subject)],
    }
}

pub(crate) fn draft(environment: &str) -> Draft {
    Draft {
        v: 1,
        id: ActionId::from_uuid(uuid(0, 1)),
        point: Point::Http,
        level: Level::Enforced,
        chain: chain(),
        verb: "http.delete".parse().unwrap(),
        resource: Resource {
            name: "queues/%2F/orders".to_owned(),
            environment: environment.parse().unwrap(),
            labels: BTreeMap::from([("team".to_owned(), "payments".to_owned())]),
        },
        target: Target {
            name: "rabbit".parse().unwrap(),
            definition: Digest::of(Purpose::Definition, b"a route"),
        },
        credential: Some("rabbit-admin".parse().unwrap()),
        session: BTreeMap::from([("search_path".to_owned(), "public".to_owned())]),
        run: Some("run-7".to_owned()),
        reason: Some("the queue is stuck".to_owned()),
        payload: Digest::from_bytes([7; 32]),
    }
}

pub(crate) fn action(environment: &str) -> Action {
    Action::seal(draft(environment)).unwrap()
}

/// Holds, each a list of alternatives `(count, group)`; a count of 0 stands for break-glass.
pub(crate) fn requirement(holds: &[&[(u8, usize)]]) -> Requirement {
    let hold = |(n, any_of): (usize, &&[(u8, usize)])| Hold {
        rule: format!("rule-{n}").parse().unwrap(),
        why: "people look first".to_owned(),
        any_of: any_of
            .iter()
            .map(|(count, at)| match count {
                0 => Quorum::break_glass(group(*at)),
                _ => Quorum::of(group(*at), *count),
            })
            .collect(),
    };
    Requirement {
        holds: holds.iter().enumerate().map(hold).collect(),
        ttl: Span::from_seconds(1_800),
        grant: Span::from_seconds(300),
        assurance: Assurance::Passkey,
        separation: Separation::Full,
    }
}

pub(crate) fn evaluation(action: &Action, decision: Decision) -> Evaluation {
    Evaluation {
        v: 1,
        action: action.digest(),
        policy: Digest::of(Purpose::Policy, b"permit ..."),
        directory: 12,
        facts: BTreeMap::from([
            ("known".to_owned(), Fact::Bool(true)),
            ("rows".to_owned(), Fact::Int(-3)),
            ("table".to_owned(), Fact::Text("orders".to_owned())),
        ]),
        decision,
        rules: vec![DecidingRule { id: "rule-0".parse().unwrap(), why: "people look first".to_owned() }],
        shadow: vec!["rule-9".parse().unwrap()],
    }
}

pub(crate) fn held(action: &Action, requirement: Requirement) -> Evaluation {
    evaluation(action, Decision::NeedsReview(requirement))
}

pub(crate) fn requested(action: &Action, requirement: Requirement) -> Event {
    Event::Requested {
        id: action.id(),
        action: action.digest(),
        chain: action.chain().clone(),
        evaluation: held(action, requirement),
    }
}

pub(crate) fn open(action: &Action, requirement: Requirement) -> Approval {
    Approval::apply(None, &requested(action, requirement), at(0)).unwrap()
}

/// A statement under the evaluation that stands; where that asks nobody, under a requirement of no one's.
pub(crate) fn statement(
    action: &Action,
    standing: &Evaluation,
    who: u8,
    verdict: Verdict,
    nonce: u8,
) -> Statement {
    Statement {
        v: 1,
        origin: origin(),
        approval: action.id(),
        action: action.digest(),
        evaluation: EvaluationRef {
            digest: standing.digest().unwrap(),
            policy: standing.policy,
            requirement: standing.requirement().cloned().unwrap_or_else(|| requirement(&[&[(1, 0)]])),
        },
        verdict,
        note: (verdict == Verdict::Ask).then(|| "which queue?".to_owned()),
        group: (verdict == Verdict::Approve).then(|| group(0)),
        grant: GrantBounds { uses: 1, seconds: Span::from_seconds(300) },
        effects: BTreeMap::new(),
        reviewer: person(who),
        assurance: Assurance::Passkey,
        nonce: Blob(vec![nonce; 32]),
        expires: at(3_000_000),
        displayed: Digest::of(Purpose::Displayed, b"a card"),
        break_glass: false,
    }
}

/// A later review of a case as it stands; of one that has not ended, as if it had just lapsed.
pub(crate) fn later(action: &Action, approval: &Approval, who: u8, group: GroupName) -> LaterStatement {
    LaterStatement {
        v: 1,
        origin: origin(),
        approval: action.id(),
        action: action.digest(),
        broken: match broken(approval.case()) {
            broken if broken.is_empty() => vec![Digest::from_bytes([3; 32])],
            broken => broken,
        },
        end: End::of(approval).unwrap_or(End::Expired { at: at(1) }),
        finding: Finding::Justified,
        note: "it could not wait".to_owned(),
        group,
        reviewer: person(who),
        assurance: Assurance::Passkey,
        nonce: Blob(vec![9; 32]),
        expires: at(3_000_000),
        displayed: Digest::of(Purpose::Displayed, b"a card"),
    }
}

/// Signs a later review, as nobody's passkey does.
pub(crate) fn sign_later(statement: &LaterStatement) -> SignedReview {
    signed(statement.write().unwrap(), LATER, statement.reviewer)
}

/// What says that these people's approvals count no more.
pub(crate) fn dismissed(people: &[u8]) -> Vec<Dismissal> {
    let why = "not-active";
    people.iter().map(|who| Dismissal { reviewer: person(*who), why: why.to_owned() }).collect()
}

/// Signs as nobody's passkey does: the signature is a digest over statement and reviewer.
pub(crate) fn sign(statement: &Statement) -> SignedReview {
    signed(statement.write().unwrap(), VERDICT, statement.reviewer)
}

/// What stands before the bytes of a verdict, and of a later review, when they are signed.
const VERDICT: &[u8] = b"";
const LATER: &[u8] = b"later";

fn signed(bytes: Vec<u8>, line: &[u8], by: PersonId) -> SignedReview {
    let signature = fake_signature(line, &bytes, by);
    SignedReview {
        statement: Blob(bytes),
        proof: Proof::Passkey(PasskeyProof {
            credential_id: Blob(vec![1, 2, 3]),
            client_data_json: Blob(b"{}".to_vec()),
            authenticator_data: Blob(vec![5]),
            signature: Blob(signature),
        }),
    }
}

/// The same with the other kind of proof.
pub(crate) fn sign_at_a_terminal(statement: &Statement) -> SignedReview {
    let signed = sign(statement);
    let Proof::Passkey(PasskeyProof { signature, .. }) = signed.proof else { panic!("no passkey's") };
    let proof = SshSigProof { key: ssh_key().id(), signature };
    SignedReview { proof: Proof::SshSig(proof), ..signed }
}

pub(crate) fn ssh_key() -> SshKey {
    SshKey { public_key: Blob(vec![9; 70]), label: "desk key".to_owned() }
}

fn fake_signature(line: &[u8], statement: &[u8], by: PersonId) -> Vec<u8> {
    let signed = [line, statement, by.uuid().as_bytes()].concat();
    Digest::of(Purpose::Result, &signed).as_bytes().to_vec()
}

/// What is known of reviewers, now.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) groups: BTreeMap<PersonId, BTreeSet<GroupName>>,
    pub(crate) revoked: BTreeSet<PersonId>,
    pub(crate) controls: BTreeSet<PersonId>,
}

impl Desk {
    /// Everybody stands in every group.
    pub(crate) fn open() -> Self {
        let all: BTreeSet<_> = (0..GROUPS.len()).map(group).chain([GroupName::admins()]).collect();
        Self {
            groups: (0..PEOPLE).map(|n| (person(n), all.clone())).collect(),
            revoked: BTreeSet::new(),
            controls: BTreeSet::new(),
        }
    }
}

impl ReviewVerifier for Desk {
    fn verify(&self, signed: &SignedReview, statement: &Statement, _: &Action) -> Result<Standing, Refusal> {
        self.standing(signed, VERDICT, statement.reviewer)
    }

    fn verify_later(
        &self,
        signed: &SignedReview,
        statement: &LaterStatement,
        _: &Action,
    ) -> Result<Standing, Refusal> {
        self.standing(signed, LATER, statement.reviewer)
    }
}

impl Desk {
    fn standing(&self, signed: &SignedReview, line: &[u8], by: PersonId) -> Result<Standing, Refusal> {
        let Proof::Passkey(proof) = &signed.proof else {
            return Err(Refusal::Signature("this desk knows passkeys only".to_owned()));
        };
        if proof.signature.0 != fake_signature(line, &signed.statement.0, by) {
            return Err(Refusal::Signature("altered".to_owned()));
        }
        if self.revoked.contains(&by) {
            return Err(Refusal::NotActive("revoked".to_owned()));
        }
        Ok(Standing {
            groups: self.groups.get(&by).cloned().unwrap_or_default(),
            controls_caller: self.controls.contains(&by),
        })
    }
}

//! A log, its people and their passkeys. Nothing here refuses anything: it logs and proves whatever a test says
//! happened, as a gateway could that lies but cannot sign with other people's keys.

use std::collections::BTreeMap;

use audit::{Checkpoint, Ed25519Signer, Hash, NoteSigner as _, SignedCheckpoint, leaf_hash, node_hash};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::action::{Action, Draft, Level, Point, Resource, Target};
use domain::canonical;
use domain::commitment::{Disclosure, Field, Fields};
use domain::digest::{Blob, Digest, Purpose};
use domain::directory::{Change, DirectoryEvent, Passkey};
use domain::entry::{self, Kind};
use domain::evaluation::{DecidingRule, Decision, Evaluation};
use domain::event::Event;
use domain::id::{ActionId, AgentId, GrantId, Origin, PersonId, QuestionId};
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::principal::{Chain, Principal};
use domain::receipt::{Entry, KeyPayload, Receipt};
use domain::requirement::{Assurance, Hold, Quorum, Requirement, Separation};
use domain::review::{PasskeyProof, Proof, SignedReview};
use domain::statement::{EvaluationRef, GrantBounds, Statement, Verdict};
use domain::time::{Span, Timestamp};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use verify::{Report, Trust, verify_receipt};

pub(crate) const ORIGIN: &str = "countersign.example/log";
pub(crate) const RP_ID: &str = "countersign.example";
pub(crate) const WEB: &str = "https://countersign.example";

/// The administrator, with whom a staffed log begins.
pub(crate) const ADA: u8 = 9;
/// How many entries of a staffed log stand behind its genesis before Sam: Ada, her group and her bootstrap key, and
/// the cases in which she signed for Alice's key and for Bob's.
pub(crate) const BASE: usize = 9;
/// The same, as an index.
pub(crate) const AT: u64 = BASE as u64;
/// The agent's sponsor.
pub(crate) const SAM: u8 = 0;
pub(crate) const ALICE: u8 = 1;
pub(crate) const BOB: u8 = 2;

fn uuid(kind: u8, n: u8) -> Uuid {
    Uuid::from_u128(0x0190_abcd_0000_7000_8000_0000_0000_0000 | u128::from(kind) << 8 | u128::from(n))
}

pub(crate) fn person(n: u8) -> PersonId {
    PersonId::from_uuid(uuid(1, n))
}

pub(crate) fn agent() -> AgentId {
    AgentId::from_uuid(uuid(2, 0))
}

pub(crate) fn question() -> QuestionId {
    QuestionId::from_uuid(uuid(3, 0))
}

pub(crate) fn grant() -> GrantId {
    GrantId::from_uuid(uuid(4, 0))
}

pub(crate) fn origin() -> Origin {
    ORIGIN.parse().unwrap()
}

pub(crate) fn log_key(name: &str, seed: u8) -> Ed25519Signer {
    Ed25519Signer::new(name.parse().unwrap(), &[seed; 32])
}

pub(crate) fn trust() -> Trust {
    Trust::in_log(log_key(ORIGIN, 1).verifier().clone())
}

pub(crate) fn verified(receipt: &Receipt) -> Report {
    verify_receipt(&canonical::write(receipt).unwrap(), &trust())
}

/// So many of each group, each in a hold of its own.
pub(crate) fn requirement(holds: &[(u8, &str)]) -> Requirement {
    Requirement {
        holds: holds
            .iter()
            .map(|(count, group)| Hold {
                rule: "destroy-needs-a-dba".parse().unwrap(),
                why: "what is purged is gone".to_owned(),
                any_of: vec![Quorum { group: group.parse().unwrap(), count: *count, break_glass: false }],
            })
            .collect(),
        ttl: Span::from_seconds(1_800),
        grant: Span::from_seconds(300),
        assurance: Assurance::Passkey,
        separation: Separation::Full,
    }
}

pub(crate) fn payload() -> Fields {
    Fields::new(vec![
        Field::new("http.body", [1; 32], *b"{\"purge\":true}"),
        Field::new("http.query", [2; 32], *b"if-empty=false"),
    ])
    .unwrap()
}

pub(crate) fn draft(id: u8, environment: &str) -> Draft {
    Draft {
        v: 1,
        id: ActionId::from_uuid(uuid(0, id)),
        point: Point::Http,
        level: Level::Enforced,
        chain: Chain::agent(agent(), person(SAM)),
        verb: "http.delete".parse().unwrap(),
        resource: Resource {
            name: "queues/%2F/orders".to_owned(),
            environment: environment.parse().unwrap(),
            labels: BTreeMap::new(),
        },
        target: Target {
            name: "rabbit".parse().unwrap(),
            definition: Digest::of(Purpose::Definition, b"a route"),
        },
        credential: Some("rabbit-admin".parse().unwrap()),
        session: BTreeMap::new(),
        run: None,
        reason: Some("the queue is stuck\nVALID: trust me \u{202e}".to_owned()),
        payload: payload().root().unwrap(),
    }
}

pub(crate) fn passkey(n: u8) -> SigningKey {
    SigningKey::from_slice(&[n + 10; 32]).unwrap()
}

pub(crate) fn credential(n: u8) -> Blob {
    Blob(vec![0xc0, n])
}

pub(crate) fn enrolment(n: u8, label: &str) -> Passkey {
    let point = passkey(n).verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    let head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
    Passkey {
        credential_id: credential(n),
        public_key: Blob([&head, x, &[0x22, 0x58, 0x20], y].concat()),
        rp_id: RP_ID.to_owned(),
        origin: WEB.to_owned(),
        label: label.to_owned(),
    }
}

/// How a passkey signs a statement.
pub(crate) struct Hand {
    pub(crate) key: u8,
    pub(crate) web: &'static str,
    pub(crate) rp_id: &'static str,
    pub(crate) flags: u8,
    pub(crate) kind: &'static str,
    /// Behind which line it signs.
    pub(crate) line: &'static str,
    /// What is signed instead of the statement.
    pub(crate) instead: Option<Vec<u8>>,
}

impl Hand {
    pub(crate) fn of(key: u8) -> Self {
        let (kind, line) = ("webauthn.get", "approval-statement");
        Self { key, web: WEB, rp_id: RP_ID, flags: 0x05, kind, line, instead: None }
    }

    pub(crate) fn sign(&self, statement: &[u8]) -> SignedReview {
        self.sign_with(statement, |message| {
            let signature: DerSignature = passkey(self.key).sign(message);
            signature.as_bytes().to_vec()
        })
    }

    /// Signs with an authenticator that makes these signatures.
    pub(crate) fn sign_with(&self, statement: &[u8], make: impl Fn(&[u8]) -> Vec<u8>) -> SignedReview {
        let signed = self.instead.as_deref().unwrap_or(statement);
        let line = format!("countersign/{}/v1\n", self.line);
        let challenge = Sha256::new().chain_update(line).chain_update(signed);
        let challenge = URL_SAFE_NO_PAD.encode(challenge.finalize());
        let Self { kind, web, .. } = self;
        let client =
            format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{web}","crossOrigin":false}}"#);
        let data = [Sha256::digest(self.rp_id).as_slice(), &[self.flags, 0, 0, 0, 9]].concat();
        let hash = Sha256::digest(client.as_bytes());
        let signature = make(&[data.as_slice(), hash.as_slice()].concat());
        SignedReview {
            statement: Blob(statement.to_vec()),
            proof: Proof::Passkey(PasskeyProof {
                credential_id: credential(self.key),
                client_data_json: Blob(client.into_bytes()),
                authenticator_data: Blob(data),
                signature: Blob(signature),
            }),
        }
    }
}

/// A log in the making.
pub(crate) struct Scene {
    pub(crate) action: Action,
    pub(crate) standing: Evaluation,
    pub(crate) log: Vec<(Vec<u8>, Fields)>,
    /// Which entries go into the receipt.
    pub(crate) told: Vec<usize>,
    pub(crate) seconds: u64,
    salt: u8,
    nonce: u8,
    /// Whether somebody has a key, so that the next one is signed for.
    peopled: bool,
    /// Whether there is a second administrator, so that a standing in a group is signed for.
    seconded: bool,
    /// Approvals under which keys may be enrolled, by whose key.
    vouched: BTreeMap<u8, ActionId>,
    /// The payloads of the cases in which keys were signed for, by their requests' places.
    pub(crate) keys: BTreeMap<usize, Vec<Disclosure>>,
}

/// What a case in which a key is signed for tells, true or not.
pub(crate) struct Countersign {
    pub(crate) by: u8,
    pub(crate) group: &'static str,
    /// Who proposes it.
    pub(crate) caller: u8,
    pub(crate) separation: Separation,
    pub(crate) verb: &'static str,
    /// The last of its entries: 1 the request, 2 the review, 3 the execution, 4 the outcome.
    pub(crate) until: u8,
}

impl Countersign {
    /// As it should be.
    pub(crate) fn of(caller: u8) -> Self {
        let separation = Separation::Full;
        Self { by: ADA, group: "admins", caller, separation, verb: "config.key", until: 3 }
    }
}

impl Scene {
    /// An empty log but for its genesis, and an action that would be held for these people.
    pub(crate) fn of(draft: Draft, requirement: Requirement) -> Self {
        let action = Action::seal(draft).unwrap();
        let standing = evaluation(&action, Decision::NeedsReview(requirement));
        let mut scene = Self {
            action,
            standing,
            log: Vec::new(),
            told: Vec::new(),
            seconds: 0,
            salt: 0,
            nonce: 0,
            peopled: false,
            seconded: false,
            vouched: BTreeMap::new(),
            keys: BTreeMap::new(),
        };
        scene.untold(Kind::Genesis);
        scene
    }

    /// Ada, who administers; Sam's agent, Alice and Bob with a key each, both in `dba`.
    pub(crate) fn staffed(draft: Draft, requirement: Requirement) -> Self {
        let mut scene = Self::administered(draft, requirement);
        for n in [ALICE, BOB] {
            let id = scene.countersign(&Countersign::of(n), &enrolled(n, "blue key"));
            scene.vouched.insert(n, id);
        }
        scene.change(DirectoryEvent::PersonAdded { id: person(SAM), name: "Sam Sponsor".to_owned() });
        let (id, name) = (agent(), "janitor".to_owned());
        scene.change(DirectoryEvent::AgentAdded { id, name, sponsor: person(SAM), key: Blob(vec![7; 32]) });
        scene.hire(ALICE, "Alice Ångström");
        scene.hire(BOB, "Bob");
        scene.untold(Kind::Heartbeat);
        scene
    }

    /// Ada, with the bootstrap key, and nobody else.
    pub(crate) fn administered(draft: Draft, requirement: Requirement) -> Self {
        let mut scene = Self::of(draft, requirement);
        scene.change(DirectoryEvent::PersonAdded { id: person(ADA), name: "Ada Admin".to_owned() });
        scene.join(ADA, "admins");
        scene.enrol(ADA);
        scene
    }

    /// A case in which a key is signed for, or another change.
    pub(crate) fn countersign(&mut self, case: &Countersign, change: &DirectoryEvent) -> ActionId {
        self.countersign_then(case, change, |_| {})
    }

    /// The same, and then something more in that case.
    pub(crate) fn countersign_then(
        &mut self,
        case: &Countersign,
        change: &DirectoryEvent,
        then: impl FnOnce(&mut Self),
    ) -> ActionId {
        let payload = Fields::new(vec![Field::new(
            domain::directory::CHANGE_PATH,
            [3; 32],
            canonical::write(change).unwrap(),
        )]);
        let payload = payload.unwrap();
        let n = u8::try_from(self.keys.len()).unwrap();
        let draft = Draft {
            point: Point::Config,
            chain: Chain::person(person(case.caller)),
            verb: case.verb.parse().unwrap(),
            resource: Resource {
                name: change.subject(),
                environment: "control".parse().unwrap(),
                labels: BTreeMap::new(),
            },
            credential: None,
            reason: None,
            payload: payload.root().unwrap(),
            ..draft(100 + n, "control")
        };
        let held = (self.action.clone(), self.standing.clone());
        let requirement = Requirement { separation: case.separation, ..requirement(&[(1, case.group)]) };
        self.another(draft, requirement);
        let request = self.request();
        self.keys.insert(request, payload.into_vec().into_iter().map(Disclosure::Open).collect());
        if case.until > 1 {
            let group = |s: &mut Statement| s.group = Some(case.group.parse().unwrap());
            self.review_with(case.by, Verdict::Approve, group, &Hand::of(case.by));
        }
        if case.until > 2 {
            self.redeem(&[case.by]);
        }
        if case.until > 3 {
            self.finish();
        }
        then(self);
        let id = self.action.id();
        (self.action, self.standing) = held;
        id
    }

    /// The payload of the request at this place, open.
    pub(crate) fn payload_of(&self, at: usize) -> Vec<Disclosure> {
        self.keys.get(&at).cloned().unwrap_or_else(open_payload)
    }

    /// Goes on with another action, which would be held for these people.
    pub(crate) fn another(&mut self, draft: Draft, requirement: Requirement) {
        self.action = Action::seal(draft).unwrap();
        self.standing = evaluation(&self.action, Decision::NeedsReview(requirement));
    }

    /// The hashes of the first so many leaves.
    pub(crate) fn hashes(&self, size: usize) -> Vec<Hash> {
        self.log[..size].iter().map(|(leaf, _)| leaf_hash(leaf)).collect()
    }

    /// The checkpoint of the first so many entries.
    pub(crate) fn checkpoint(&self, size: usize, key: &Ed25519Signer) -> SignedCheckpoint {
        let name = key.verifier().name().as_str();
        let checkpoint = Checkpoint::new(name, size as u64, root(&self.hashes(size)), Vec::new()).unwrap();
        checkpoint.sign(&[key]).unwrap()
    }

    /// An entry with its proof in the tree of the first so many, and all its fields open.
    pub(crate) fn entry(&self, at: usize, size: usize) -> Entry {
        Entry {
            index: at as u64,
            leaf: Blob(self.log[at].0.clone()),
            proof: blobs(&proof(at, &self.hashes(size))),
            fields: self.log[at].1.as_slice().iter().cloned().map(Disclosure::Open).collect(),
        }
    }

    pub(crate) fn hire(&mut self, n: u8, name: &str) {
        self.change(DirectoryEvent::PersonAdded { id: person(n), name: name.to_owned() });
        self.enrol(n);
        self.join(n, "dba");
    }

    pub(crate) fn enrol(&mut self, n: u8) -> usize {
        self.enrol_key(n, enrolled(n, "blue key"))
    }

    /// Enrols a key as it should be: the first one by nobody, any other signed for by Ada.
    pub(crate) fn enrol_key(&mut self, n: u8, event: DirectoryEvent) -> usize {
        if !self.peopled {
            return self.change_under(event, None, None);
        }
        let id = match self.vouched.remove(&n) {
            Some(id) => id,
            None => self.countersign(&Countersign::of(n), &event),
        };
        self.change_under(event, Some(person(n)), Some(id))
    }

    /// Puts somebody into a group as it should be: Ada does, or signs for it once there is a second administrator.
    pub(crate) fn join(&mut self, n: u8, group: &str) -> usize {
        let event = joined(n, group);
        if !self.seconded {
            self.seconded = n != ADA && group == "admins";
            let by = self.peopled.then(|| person(ADA));
            return self.change_under(event, by, None);
        }
        let id = self.countersign(&Countersign { verb: "config.group", ..Countersign::of(n) }, &event);
        self.change_under(event, Some(person(n)), Some(id))
    }

    pub(crate) fn leave(&mut self, n: u8, group: &str) -> usize {
        self.change(DirectoryEvent::GroupLeft { group: group.parse().unwrap(), person: person(n) })
    }

    pub(crate) fn change(&mut self, event: DirectoryEvent) -> usize {
        self.change_under(event, Some(person(ADA)), None)
    }

    pub(crate) fn change_under(
        &mut self,
        event: DirectoryEvent,
        by: Option<PersonId>,
        approval: Option<ActionId>,
    ) -> usize {
        self.peopled |=
            matches!(event, DirectoryEvent::KeyEnrolled { .. } | DirectoryEvent::SshKeyEnrolled { .. });
        let change = Change { event, by: by.map(Principal::Person), approval };
        self.write(entry::Draft::of_change(&change).unwrap())
    }

    pub(crate) fn event(&mut self, event: &Event) -> usize {
        self.write(entry::Draft::of_event(event, &self.action).unwrap())
    }

    pub(crate) fn request(&mut self) -> usize {
        self.event(&Event::Requested {
            id: self.action.id(),
            action: self.action.digest(),
            chain: self.action.chain().clone(),
            evaluation: self.standing.clone(),
        })
    }

    pub(crate) fn statement(&mut self, n: u8, verdict: Verdict) -> Statement {
        self.nonce = self.nonce.wrapping_add(1);
        Statement {
            v: 1,
            origin: origin(),
            approval: self.action.id(),
            action: self.action.digest(),
            evaluation: EvaluationRef {
                digest: self.standing.digest().unwrap(),
                policy: self.standing.policy,
                requirement: self
                    .standing
                    .requirement()
                    .cloned()
                    .unwrap_or_else(|| requirement(&[(1, "dba")])),
            },
            verdict,
            note: (verdict != Verdict::Approve).then(|| "is anybody reading it?".to_owned()),
            group: (verdict == Verdict::Approve).then(|| "dba".parse().unwrap()),
            grant: GrantBounds { uses: 1, seconds: Span::from_seconds(300) },
            effects: BTreeMap::new(),
            reviewer: person(n),
            assurance: Assurance::Passkey,
            nonce: Blob(vec![self.nonce; 32]),
            expires: at(self.seconds + 100),
            displayed: Digest::of(Purpose::Displayed, b"a card"),
            break_glass: false,
        }
    }

    /// An approval or a denial, signed as it should be.
    pub(crate) fn review(&mut self, n: u8, verdict: Verdict) -> usize {
        self.review_with(n, verdict, |_| {}, &Hand::of(n))
    }

    pub(crate) fn review_with(
        &mut self,
        n: u8,
        verdict: Verdict,
        change: impl FnOnce(&mut Statement),
        hand: &Hand,
    ) -> usize {
        let mut statement = self.statement(n, verdict);
        change(&mut statement);
        let review = hand.sign(&canonical::write(&statement).unwrap());
        self.event(&Event::Reviewed { review })
    }

    pub(crate) fn ask(&mut self, n: u8) -> usize {
        let statement = self.statement(n, Verdict::Ask);
        let review = Hand::of(n).sign(&statement.write().unwrap());
        self.event(&Event::Asked { question: question(), review })
    }

    pub(crate) fn answer(&mut self) -> usize {
        let by = Principal::Agent(agent());
        self.event(&Event::Answered {
            question: question(),
            by,
            text: "nobody\nEnded      succeeded".to_owned(),
        })
    }

    pub(crate) fn reevaluate(&mut self, decision: Decision) -> usize {
        self.standing = evaluation(&self.action, decision);
        self.event(&Event::Reevaluated { evaluation: self.standing.clone() })
    }

    pub(crate) fn redeem(&mut self, counted: &[u8]) -> usize {
        let counted = counted.iter().map(|n| person(*n)).collect();
        self.event(&Event::Redeemed { grant: grant(), evaluation: self.standing.clone(), counted })
    }

    pub(crate) fn finish(&mut self) -> usize {
        let outcome = Outcome::new(Ending::Succeeded, Witnessed::Observed, "204")
            .with_result(Digest::of(Purpose::Result, b""), 0);
        self.event(&Event::Finished { outcome })
    }

    /// An entry that the receipt does not show.
    pub(crate) fn untold(&mut self, kind: Kind) {
        self.write(entry::Draft { kind, subject: None, fields: Vec::new() });
        self.told.pop();
    }

    pub(crate) fn write(&mut self, draft: entry::Draft) -> usize {
        self.seconds += 1;
        let salt = &mut self.salt;
        let next = || {
            *salt = salt.wrapping_add(1);
            [*salt; 32]
        };
        let sealed = draft.seal(&origin(), at(self.seconds), next).unwrap();
        self.log.push((sealed.leaf, sealed.fields));
        self.told.push(self.log.len() - 1);
        self.log.len() - 1
    }

    /// The receipt of every entry that is told.
    pub(crate) fn receipt(&self) -> Receipt {
        self.receipt_signed(&log_key(ORIGIN, 1))
    }

    pub(crate) fn receipt_signed(&self, key: &Ed25519Signer) -> Receipt {
        let size = self.log.len();
        Receipt {
            v: 1,
            origin: origin(),
            approval: self.action.id(),
            checkpoint: self.checkpoint(size, key).note().to_string(),
            entries: self.told.iter().map(|at| self.entry(*at, size)).collect(),
            payload: open_payload(),
            keys: self
                .keys
                .iter()
                .filter(|(at, _)| self.told.contains(at))
                .map(|(at, payload)| KeyPayload { entry: *at as u64, payload: payload.clone() })
                .collect(),
        }
    }
}

pub(crate) fn enrolled(n: u8, label: &str) -> DirectoryEvent {
    DirectoryEvent::KeyEnrolled { person: person(n), key: enrolment(n, label) }
}

pub(crate) fn joined(n: u8, group: &str) -> DirectoryEvent {
    DirectoryEvent::GroupJoined { group: group.parse().unwrap(), person: person(n) }
}

pub(crate) fn open_payload() -> Vec<Disclosure> {
    payload().into_vec().into_iter().map(Disclosure::Open).collect()
}

pub(crate) fn blobs(hashes: &[Hash]) -> Vec<Blob> {
    hashes.iter().map(|hash| Blob(hash.as_bytes().to_vec())).collect()
}

/// The usual story: held for two, a question and its answer, two approvals, a run.
pub(crate) fn ran() -> Scene {
    let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(2, "dba")]));
    scene.request();
    scene.ask(BOB);
    scene.answer();
    scene.review(ALICE, Verdict::Approve);
    scene.untold(Kind::Heartbeat);
    scene.review(BOB, Verdict::Approve);
    scene.redeem(&[ALICE, BOB]);
    scene.finish();
    scene.untold(Kind::Heartbeat);
    scene
}

pub(crate) fn evaluation(action: &Action, decision: Decision) -> Evaluation {
    Evaluation {
        v: 1,
        action: action.digest(),
        policy: Digest::of(Purpose::Policy, b"forbid ..."),
        directory: 8,
        facts: BTreeMap::new(),
        decision,
        rules: vec![DecidingRule {
            id: "destroy-needs-a-dba".parse().unwrap(),
            why: "what is purged is gone".to_owned(),
        }],
        shadow: Vec::new(),
    }
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000 + seconds * 1_000_000)
}

/// RFC 6962 section 2.1, word for word, so that the proofs are not made by the code that checks them.
pub(crate) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(root(left), root(right))
        }
    }
}

fn proof(at: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut below, beside) = if at < left.len() {
        (proof(at, left), root(right))
    } else {
        (proof(at - left.len(), right), root(left))
    };
    below.push(beside);
    below
}

/// RFC 6962 section 2.1.2: from the tree of the first `old` leaves to the tree of all.
pub(crate) fn consistency(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut below, beside) = if old <= middle {
        (consistency(old, left, whole), root(right))
    } else {
        (consistency(old - middle, right, false), root(left))
    };
    below.push(beside);
    below
}

fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

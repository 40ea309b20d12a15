use std::collections::BTreeMap;

use domain::Refusal;
use domain::action::{Action, Draft, Level, Point, Resource, Target};
use domain::digest::{Digest, Purpose};
use domain::id::ActionId;
use domain::principal::{Chain, Link, Principal, Role};
use domain::requirement::{Assurance, Hold, Quorum, Requirement, Separation};
use domain::review::{CheckedReview, Proof, ReviewVerifier as _, SignedReview, Standing};
use domain::statement::{EvaluationRef, GrantBounds, Statement, Verdict};

use super::*;

fn action(chain: Chain) -> Action {
    let digest = Digest::of(Purpose::Definition, b"route");
    let target = Target { name: "broker".parse().unwrap(), definition: digest };
    let resource = Resource {
        name: "queues/orders".to_owned(),
        environment: "prod".parse().unwrap(),
        labels: BTreeMap::new(),
    };
    Action::seal(Draft {
        v: 1,
        id: ActionId::new(now(), &[1; 10]),
        point: Point::Http,
        level: Level::Enforced,
        chain,
        verb: "http.delete".parse().unwrap(),
        resource,
        target,
        credential: None,
        session: BTreeMap::new(),
        run: None,
        reason: None,
        payload: digest,
    })
    .unwrap()
}

pub(super) fn of_bot() -> Action {
    action(Chain::agent(agent(BOT), person(ALICE)))
}

fn requirement() -> Requirement {
    let any_of = vec![Quorum { group: "dba".parse().unwrap(), count: 1, break_glass: false }];
    Requirement {
        holds: vec![Hold { rule: "destroy".parse().unwrap(), why: String::new(), any_of }],
        ttl: Span::from_seconds(600),
        grant: Span::from_seconds(600),
        assurance: Assurance::Passkey,
        separation: Separation::Full,
    }
}

pub(super) fn statement(action: &Action, reviewer: u8) -> Statement {
    let digest = Digest::of(Purpose::Evaluation, b"evaluation");
    Statement {
        v: 1,
        origin: origin(),
        approval: action.id(),
        action: action.digest(),
        evaluation: EvaluationRef { digest, policy: digest, requirement: requirement() },
        verdict: Verdict::Approve,
        note: None,
        group: Some("dba".parse().unwrap()),
        grant: GrantBounds { uses: 1, seconds: Span::from_seconds(600) },
        effects: BTreeMap::new(),
        reviewer: person(reviewer),
        assurance: Assurance::Passkey,
        nonce: Blob(vec![4; 32]),
        expires: later(600),
        displayed: digest,
        break_glass: false,
    }
}

fn sign(statement: &Statement, authenticator: &Authenticator) -> SignedReview {
    let statement = statement.write().unwrap();
    let response = authenticator.get(&assertion::statement_challenge(&statement));
    SignedReview { statement: Blob(statement), proof: review_proof(&bytes(&response)).unwrap() }
}

pub(super) fn verify_in(
    directory: &Directory,
    statement: &Statement,
    signed: &SignedReview,
    action: &Action,
) -> Result<Standing, Refusal> {
    let relying_party = relying_party();
    DirectoryVerifier { directory, relying_party: &relying_party }.verify(signed, statement, action)
}

fn verify(statement: &Statement, authenticator: &Authenticator) -> Result<Standing, Refusal> {
    verify_in(&directory(), statement, &sign(statement, authenticator), &of_bot())
}

/// The words of the refusal of a signature.
pub(super) fn signature(result: Result<Standing, Refusal>) -> String {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.code(), "bad-signature", "{refusal}");
    refusal.to_string()
}

#[test]
fn a_reviewers_own_passkey_over_the_statement_passes() {
    let statement = statement(&of_bot(), BOB);
    let standing = verify(&statement, &Authenticator::of(BOB)).unwrap();
    assert_eq!(standing.groups, directory().person(person(BOB)).unwrap().groups);
    assert!(!standing.controls_caller);

    let (directory, relying_party) = (directory(), relying_party());
    let verifier = DirectoryVerifier { directory: &directory, relying_party: &relying_party };
    let signed = sign(&statement, &Authenticator::of(BOB));
    let checked = CheckedReview::check(signed, &of_bot(), &requirement(), &origin(), &verifier).unwrap();
    assert_eq!(checked.statement().reviewer, person(BOB));
}

#[test]
fn somebody_elses_passkey_proves_nothing_of_the_reviewer() {
    let statement = statement(&of_bot(), BOB);
    for somebody in [ALICE, 77] {
        assert_eq!(verify(&statement, &Authenticator::of(somebody)).unwrap_err().code(), "not-active");
    }
    // Alice's signature under the name of Bob's key.
    let under_bobs = Authenticator { id: Authenticator::of(BOB).id, ..Authenticator::of(ALICE) };
    assert!(signature(verify(&statement, &under_bobs)).contains("not by this key"));
}

#[test]
fn a_passkey_signs_one_statement_and_no_other() {
    let good = statement(&of_bot(), BOB);
    let signed = sign(&good, &Authenticator::of(BOB));
    let denied = Statement { verdict: Verdict::Deny, ..good.clone() };
    // Other bytes under the signature, and other words beside the bytes.
    let swapped = SignedReview { statement: Blob(denied.write().unwrap()), ..signed.clone() };
    assert!(signature(verify_in(&directory(), &denied, &swapped, &of_bot())).contains("another challenge"));
    assert!(signature(verify_in(&directory(), &denied, &signed, &of_bot())).contains("another statement"));
    let unreadable = SignedReview { statement: Blob(b"{}".to_vec()), ..signed };
    assert_eq!(verify_in(&directory(), &good, &unreadable, &of_bot()).unwrap_err().code(), "malformed");

    // A sign-in's signature is no review's.
    let login = Authenticator::of(BOB).get(&[7; 32]);
    let statement = Blob(good.write().unwrap());
    let replayed = SignedReview { statement, proof: review_proof(&bytes(&login)).unwrap() };
    assert!(signature(verify_in(&directory(), &good, &replayed, &of_bot())).contains("another challenge"));
}

#[test]
fn a_passkey_signs_here_with_its_owner_verified() {
    let statement = statement(&of_bot(), BOB);
    let bob = || Authenticator::of(BOB);
    for (authenticator, words) in [
        (Authenticator { flags: USER_PRESENT, ..bob() }, "did not verify its user"),
        (Authenticator { flags: USER_VERIFIED, ..bob() }, "nobody present"),
        (Authenticator { origin: "https://evil.example", ..bob() }, "evil.example"),
        (Authenticator { rp_id: "evil.example", ..bob() }, "another relying party"),
    ] {
        let why = signature(verify(&statement, &authenticator));
        assert!(why.contains(words), "{why}");
    }
    let mut signed = sign(&statement, &bob());
    let Proof::Passkey(proof) = &mut signed.proof else { panic!("no passkey's") };
    proof.signature.0.pop();
    assert!(signature(verify_in(&directory(), &statement, &signed, &of_bot())).contains("malformed"));
}

#[test]
fn who_has_left_or_lost_the_key_reviews_no_more() {
    let statement = statement(&of_bot(), BOB);
    let signed = sign(&statement, &Authenticator::of(BOB));
    let mut left = directory();
    apply(&mut left, DirectoryEvent::PersonDeactivated { id: person(BOB) });
    let mut revoked = directory();
    let credential_id = Blob(Authenticator::of(BOB).id);
    apply(&mut revoked, DirectoryEvent::KeyRevoked { person: person(BOB), credential_id });
    let check = |directory: &Directory| verify_in(directory, &statement, &signed, &of_bot());
    assert_eq!(check(&left).unwrap_err().code(), "not-active");
    assert_eq!(check(&Directory::default()).unwrap_err().code(), "not-active");
    assert_eq!(check(&revoked).unwrap_err().code(), "not-active");
    // Not even when the key comes to be somebody else's.
    let key = Authenticator::of(BOB).enrolled();
    apply(&mut revoked, DirectoryEvent::KeyEnrolled { person: person(ALICE), key });
    assert_eq!(check(&revoked).unwrap_err().code(), "not-active");
}

#[test]
fn the_assurance_is_what_the_proof_carries() {
    let chat = Statement { assurance: Assurance::Chat, ..statement(&of_bot(), BOB) };
    assert_eq!(verify(&chat, &Authenticator::of(BOB)), Err(Refusal::Assurance));
}

#[test]
fn groups_are_those_of_now() {
    let mut moved = directory();
    apply(&mut moved, DirectoryEvent::GroupLeft { group: "dba".parse().unwrap(), person: person(BOB) });
    let statement = statement(&of_bot(), BOB);
    let signed = sign(&statement, &Authenticator::of(BOB));
    let standing = verify_in(&moved, &statement, &signed, &of_bot()).unwrap();
    assert!(!standing.groups.contains(&"dba".parse().unwrap()));
    let relying_party = relying_party();
    let verifier = DirectoryVerifier { directory: &moved, relying_party: &relying_party };
    let refused = CheckedReview::check(signed, &of_bot(), &requirement(), &origin(), &verifier);
    assert_eq!(refused.unwrap_err().code(), "not-eligible");
}

#[test]
fn who_controls_the_caller_now_is_told() {
    let controls = |directory: &Directory, action: &Action, reviewer: u8| {
        let statement = statement(action, reviewer);
        let signed = sign(&statement, &Authenticator::of(reviewer));
        verify_in(directory, &statement, &signed, action).unwrap().controls_caller
    };
    assert!(controls(&directory(), &of_bot(), ALICE));
    assert!(!controls(&directory(), &of_bot(), BOB));
    // The sponsor changed while the request waited: the new one controls the agent now.
    let mut moved = directory();
    apply(&mut moved, DirectoryEvent::AgentSponsorChanged { id: agent(BOT), sponsor: person(BOB) });
    assert!(controls(&moved, &of_bot(), BOB));
    let relying_party = relying_party();
    let verifier = DirectoryVerifier { directory: &moved, relying_party: &relying_party };
    let signed = sign(&statement(&of_bot(), BOB), &Authenticator::of(BOB));
    let refused = CheckedReview::check(signed, &of_bot(), &requirement(), &origin(), &verifier);
    assert_eq!(refused.unwrap_err(), Refusal::SelfReview);

    let bobs = action(Chain::person(person(BOB)));
    assert!(controls(&directory(), &bobs, BOB));
    assert!(!controls(&directory(), &bobs, ALICE));
    // An agent further back, sponsored by Alice, and one that nobody knows.
    let delegated = |n| {
        let link = Link { party: Principal::Agent(agent(n)), role: Role::Delegate };
        action(Chain { caller: Principal::Person(person(BOB)), behind: vec![link] })
    };
    assert!(controls(&directory(), &delegated(OTHER_BOT), ALICE));
    assert!(controls(&directory(), &delegated(99), ALICE));
}

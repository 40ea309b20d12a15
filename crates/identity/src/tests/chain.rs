use domain::principal::Chain;

use super::*;

fn claims() -> Claims {
    let key = TokenKey::new([42; 32], origin());
    let token = key.mint(&proven(BOT), now(), &[6; 16]).unwrap();
    key.verify(token.expose(), now()).unwrap()
}

fn after(event: DirectoryEvent) -> Directory {
    let mut directory = directory();
    apply(&mut directory, event);
    directory
}

#[test]
fn an_agents_chain_is_the_agent_and_its_sponsor_of_now() {
    let expected = Chain::agent(agent(BOT), person(ALICE));
    assert_eq!(chain_of_agent(agent(BOT), &directory()), Ok(expected.clone()));
    assert_eq!(chain_of_token(&claims(), &directory(), now()), Ok(expected));
    let moved = after(DirectoryEvent::AgentSponsorChanged { id: agent(BOT), sponsor: person(BOB) });
    assert_eq!(chain_of_token(&claims(), &moved, now()), Ok(Chain::agent(agent(BOT), person(BOB))));
}

#[test]
fn a_token_ends_with_its_time_its_agent_its_sponsor_and_its_key() {
    let refused = |directory: &Directory, now| chain_of_token(&claims(), directory, now).unwrap_err().code();
    assert_eq!(refused(&directory(), later(900)), "expired");
    let disabled = after(DirectoryEvent::AgentDisabled { id: agent(BOT) });
    assert_eq!(refused(&disabled, now()), "agent-disabled");
    let left = after(DirectoryEvent::PersonDeactivated { id: person(ALICE) });
    assert_eq!(refused(&left, now()), "sponsor-inactive");
    let rekeyed = after(DirectoryEvent::AgentKeyReplaced { id: agent(BOT), key: agent_key(77).public() });
    assert_eq!(refused(&rekeyed, now()), "agent-key-replaced");
    assert_eq!(refused(&Directory::default(), now()), "unknown-agent");
}

#[test]
fn a_persons_chain_is_the_person() {
    assert_eq!(chain_of_person(person(BOB), &directory()), Ok(Chain::person(person(BOB))));
    let left = after(DirectoryEvent::PersonDeactivated { id: person(BOB) });
    for directory in [left, Directory::default()] {
        let refused = chain_of_person(person(BOB), &directory);
        assert_eq!(refused, Err(IdentityError::PersonInactive(person(BOB))));
    }
}

#[test]
fn a_session_ends_with_its_time_its_person_and_its_passkey() {
    let session = Session::open(&login(BOB), SessionKind::Cli, [3; 32]);
    assert_eq!(chain_of_session(&session, &directory(), now()), Ok(Chain::person(person(BOB))));
    let refused = |directory: &Directory, now| chain_of_session(&session, directory, now).unwrap_err().code();
    assert_eq!(refused(&directory(), later(12 * 3_600)), "expired");
    let left = after(DirectoryEvent::PersonDeactivated { id: person(BOB) });
    assert_eq!(refused(&left, now()), "person-inactive");
    let credential_id = Blob(Authenticator::of(BOB).id);
    let mut revoked = after(DirectoryEvent::KeyRevoked { person: person(BOB), credential_id });
    assert_eq!(refused(&revoked, now()), "passkey-revoked");
    // Not even if the key comes to be somebody else's.
    let key = Authenticator::of(BOB).enrolled();
    apply(&mut revoked, DirectoryEvent::KeyEnrolled { person: person(ALICE), key });
    assert_eq!(refused(&revoked, now()), "passkey-revoked");
}

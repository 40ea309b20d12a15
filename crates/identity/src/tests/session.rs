use domain::principal::Principal;

use super::*;
use crate::limits::{SESSION_ABSOLUTE, SESSION_IDLE};

fn session() -> Session {
    Session::open(&login(BOB), SessionKind::Console, [3; 32])
}

fn just_before(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros() - 1)
}

#[test]
fn a_session_is_found_by_its_token_and_forgotten_by_its_person() {
    let token = SessionToken::new(person(BOB), [9; 32]);
    let read = SessionToken::read(&token.expose()).unwrap();
    assert_eq!(read, token);
    assert!(token.vault_key().starts_with(&SessionToken::prefix(person(BOB))));
    assert!(!token.vault_key().starts_with(&SessionToken::prefix(person(ALICE))));
    assert!(!token.vault_key().contains(&b64([9; 32])), "the key does not give the token away");
    assert!(!format!("{token:?}").contains(&b64([9; 32])));

    let bytes = session().write().unwrap();
    assert_eq!(Session::read(&bytes, &token), Ok(session()));
    let alices = SessionToken::new(person(ALICE), [9; 32]);
    assert_eq!(Session::read(&bytes, &alices), Err(IdentityError::OtherPerson));
    assert_eq!(Session::read(b"{}", &token).unwrap_err().code(), "stored");
    let other = String::from_utf8(bytes).unwrap().replace(r#""v":1"#, r#""v":2"#);
    assert_eq!(Session::read(other.as_bytes(), &token).unwrap_err().code(), "unreadable");
}

#[test]
fn a_token_has_one_text() {
    let good = SessionToken::new(person(BOB), [9; 32]).expose();
    let (id, secret) = good.split_once('.').unwrap();
    for text in [
        String::new(),
        id.to_owned(),
        format!("{}.{secret}", id.to_uppercase()),
        format!("{{{id}}}.{secret}"),
        format!("urn:uuid:{id}.{secret}"),
        format!("{}.{secret}", id.replace('-', "")),
        format!("{id}/x.{secret}"),
        format!("{good}="),
        format!("{good}A"),
        format!(" {good}"),
        format!("{id}..{secret}"),
    ] {
        assert_eq!(SessionToken::read(&text).unwrap_err().code(), "unreadable", "{text}");
    }
}

#[test]
fn a_session_lives_while_it_is_used_and_a_day_at_most() {
    let session = session();
    assert!(session.is_live(just_before(now().after(SESSION_IDLE))));
    assert!(!session.is_live(now().after(SESSION_IDLE)));
    assert_eq!(session.lifetime(now()), SESSION_IDLE);

    let used = Session { last_seen: later(11 * 3_600), ..session };
    assert!(used.is_live(later(13 * 3_600)));
    let used = Session { last_seen: later(22 * 3_600), ..used };
    assert_eq!(used.lifetime(later(22 * 3_600)), Span::from_seconds(2 * 3_600));
    assert!(used.is_live(just_before(now().after(SESSION_ABSOLUTE))));
    assert!(!used.is_live(now().after(SESSION_ABSOLUTE)));
    assert_eq!(used.lifetime(later(48 * 3_600)), Span::from_seconds(1));
}

#[test]
fn a_step_up_is_fresh_for_five_minutes() {
    let session = session();
    assert!(session.is_stepped_up(just_before(later(300))));
    assert!(!session.is_stepped_up(later(300)));

    let relying_party = relying_party();
    let directory = directory();
    let passkeys = Passkeys { directory: &directory, relying_party: &relying_party, now: later(1_000) };
    let pending = Pending::new(Ceremony::StepUp { person: person(BOB) }, later(1_000), [8; 32]);
    let login = passkeys.login(&pending, &bytes(&Authenticator::of(BOB).get(&[8; 32]))).unwrap();
    let stepped = session.step_up(&login).unwrap();
    assert!(stepped.is_stepped_up(later(1_299)) && !stepped.is_stepped_up(later(1_300)));
    assert_eq!((stepped.created, stepped.last_seen), (now(), later(1_000)));

    let alices = super::login(ALICE);
    assert_eq!(session.step_up(&alices), Err(IdentityError::OtherPerson));
    // A session that has ended is not stepped up, however fresh the passkey.
    let ended = Session { authenticated_at: later(SESSION_ABSOLUTE.seconds()), ..session };
    assert!(!ended.is_stepped_up(later(SESSION_ABSOLUTE.seconds())));
}

#[test]
fn the_command_lines_session_is_no_more_than_the_one_it_came_from() {
    let console = session();
    let cli = console.for_cli();
    assert_eq!((cli.kind, cli.person, &cli.key), (SessionKind::Cli, console.person, &console.key));
    assert_eq!((cli.ends(), cli.created), (console.ends(), console.created));
    assert!(cli.is_stepped_up(later(299)) && !cli.is_stepped_up(later(300)));
    assert!(!cli.csrf.matches(&console.csrf.expose()));
}

#[test]
fn a_forms_token_is_compared_whole_and_not_printed() {
    let session = session();
    assert!(session.csrf.matches(&b64([3; 32])));
    for text in ["", "AAAA", &b64([4; 32]), &b64([3; 31]), &format!("{}=", b64([3; 32]))] {
        assert!(!session.csrf.matches(text), "{text}");
    }
    assert!(!format!("{session:?}").contains(&b64([3; 32])));
}

#[test]
fn an_invite_is_found_by_its_token_for_an_hour() {
    let token = InviteToken::new([5; 32]);
    assert_eq!(InviteToken::read(&token.expose()), Ok(token.clone()));
    assert_eq!(InviteToken::read("x").unwrap_err().code(), "unreadable");
    assert_eq!(token.vault_key(), format!("invite/{}", b64(Sha256::digest([5; 32]))));
    assert_eq!(format!("{token:?}"), "InviteToken(..)");

    let invite = Invite::new(person(BOB), Some(Principal::Person(person(ALICE))), now());
    let bytes = invite.write().unwrap();
    assert_eq!(Invite::read(&bytes, just_before(later(3_600))), Ok(invite));
    assert_eq!(Invite::read(&bytes, later(3_600)), Err(IdentityError::Expired("invite")));
    assert_eq!(Invite::read(b"[]", now()).unwrap_err().code(), "stored");
}

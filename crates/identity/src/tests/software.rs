//! Round trips with a browser and an authenticator that we did not write, which read our options as JSON.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use softkey::SoftBrowser;

use super::*;

/// The authenticator waits for nothing, so its futures are ready when first polled.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the software authenticator waited"),
    }
}

#[test]
fn a_software_passkey_is_enrolled_and_signs_in() {
    let mut directory = directory();
    let carol = person(3);
    apply(&mut directory, DirectoryEvent::PersonAdded { id: carol, name: "carol".to_owned() });
    let relying_party = relying_party();
    let mut browser = SoftBrowser::new("https://countersign.example");

    let passkeys = Passkeys { directory: &directory, relying_party: &relying_party, now: now() };
    let pending = Pending::new(Ceremony::Enrol { person: carol }, now(), [1; 32]);
    let options = passkeys.creation_options(directory.person(carol).unwrap(), &pending);
    let answer = bytes(&ready(browser.enrol(&options)).unwrap());
    assert_eq!(Pending::vault_key_of(&answer), Ok(pending.vault_key()));
    let enrolled = passkeys.enrol(&pending, &answer, "software").unwrap();
    apply(&mut directory, DirectoryEvent::KeyEnrolled { person: carol, key: enrolled.passkey });

    let passkeys = Passkeys { directory: &directory, relying_party: &relying_party, now: now() };
    let pending = Pending::new(Ceremony::Login {}, now(), [2; 32]);
    let answer = ready(browser.assert(&passkeys.login_options(&pending))).unwrap();
    assert!(answer["response"]["userHandle"].is_string(), "a discoverable passkey names its user");
    let login = passkeys.login(&pending, &bytes(&answer)).unwrap();
    assert_eq!(login.person(), carol);

    let keys = &directory.person(carol).unwrap().keys;
    let options = passkeys.request_options(&assertion::statement_challenge(b"{}"), keys);
    let answer = ready(browser.assert(&options)).unwrap();
    let proof = review_proof(&bytes(&answer)).unwrap();
    let domain::review::Proof::Passkey(proof) = proof else { panic!("no passkey's") };
    assert_eq!(proof.credential_id, *login.key());
}

//! **Authority**, "Forged or replayed click: signature, skew, single use".

use std::sync::Arc;

use domain::digest::{Blob, Digest, Purpose};
use domain::id::ActionId;
use domain::statement::{Statement, Verdict};
use domain::time::Span;
use gateway::GatewayError;
use gateway::people::Human;
use gateway::review::Prepared;

use crate::house::{Call, House, altered, group, held_by, read, refusal};
use crate::passkey::{SoftPasskey, USER_PRESENT, options};

struct Desk {
    house: House,
    id: ActionId,
    bob: Human,
    prepared: Prepared,
}

impl Desk {
    async fn new() -> Self {
        let house = House::usual(&held_by("dba:1")).await;
        let id = house.held(&Call::delete("orders").though_gone()).await.id;
        let bob = house.human("bob").await;
        let prepared = house.prepare(&bob, id, Verdict::Approve, None).await.unwrap();
        Self { house, id, bob, prepared }
    }

    async fn submit(&self, human: &Human, statement: &Blob, response: &[u8]) -> Result<(), GatewayError> {
        self.house.gateway.submit_review(self.id, human, statement, response).await.map(|_| ())
    }

    /// Bob's passkey, or what passes for it, signs what was prepared.
    async fn signed_by(&self, passkey: &SoftPasskey) -> Result<(), GatewayError> {
        let prepared = self.house.prepare(&self.bob, self.id, Verdict::Approve, None).await?;
        self.submit(&self.bob, &prepared.statement, &passkey.get(&prepared.options)).await
    }

    /// As if we had handed this statement out.
    async fn hand_out(&self, statement: &Blob) {
        let Ok(read) = Statement::read(&statement.0) else { return };
        let nonce: String = read.nonce.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("statement/{nonce}");
        self.house.store().keep(&key, &statement.0, Span::from_seconds(600)).await.unwrap();
    }

    async fn ends_well(self) {
        assert_eq!(self.house.runner.runs(), 0);
        // What was refused was refused for the one thing that was wrong.
        self.signed_by(&self.house.passkey("bob")).await.unwrap();
        self.house.until(self.id, "finished").await;
    }
}

/// **Binding**, "flip each byte": of the statement that was signed. Even one that we had handed out ourselves
/// is not the one that the passkey signed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_byte_of_the_signed_statement_counts() {
    let desk = Arc::new(Desk::new().await);
    let response = desk.house.passkey("bob").get(&desk.prepared.options);
    let bytes = desk.prepared.statement.0.clone();
    let mut tries = Vec::new();
    for at in 0..bytes.len() {
        let (desk, response) = (Arc::clone(&desk), response.clone());
        let mut flipped = Blob(bytes.clone());
        flipped.0[at] ^= 1;
        tries.push(tokio::spawn(async move {
            desk.hand_out(&flipped).await;
            let refused = desk.submit(&desk.bob, &flipped, &response).await;
            assert!(refused.is_err(), "byte {at} does not count");
        }));
    }
    for one in tries {
        one.await.unwrap();
    }
    assert_eq!(desk.house.state(desk.id).await, "pending");
    Arc::into_inner(desk).unwrap().ends_well().await;
}

/// **Authority**, "Forged click": what a page made up was never handed out.
#[tokio::test]
async fn a_statement_that_we_did_not_hand_out_is_not_taken() {
    let desk = Desk::new().await;
    let now = desk.house.gateway.now();
    let changes: [&dyn Fn(&mut Statement); 7] = [
        &|statement| statement.nonce = Blob(vec![1; 32]),
        &|statement| statement.expires = now.after(Span::from_seconds(86_400)),
        &|statement| statement.group = Some(group("ops")),
        &|statement| statement.grant.seconds = Span::from_seconds(86_400),
        &|statement| statement.displayed = Digest::of(Purpose::Displayed, b"another page"),
        &|statement| statement.note = Some("gladly".to_owned()),
        &|statement| statement.verdict = Verdict::Deny,
    ];
    for change in changes {
        let prepared = desk.house.prepare(&desk.bob, desk.id, Verdict::Approve, None).await.unwrap();
        let forged = altered(&prepared, change);
        let challenge = assertion::statement_challenge(&forged.0);
        let response = desk.house.passkey("bob").get(&options(&challenge));
        assert_eq!(refusal(desk.submit(&desk.bob, &forged, &response).await), "statement-expired");
    }
    desk.ends_well().await;
}

/// **Authority**, "Forged click": the statement of one approval at another.
#[tokio::test]
async fn another_approvals_statement_is_not_this_ones() {
    let desk = Desk::new().await;
    let other = desk.house.held(&Call::delete("invoices").though_gone()).await.id;
    let response = desk.house.passkey("bob").get(&desk.prepared.options);
    let submitted =
        desk.house.gateway.submit_review(other, &desk.bob, &desk.prepared.statement, &response).await;
    assert_eq!(refusal(submitted), "other-action");
    // Its name changed to the other approval, and handed out as such: the signature is over this one.
    let renamed = altered(&desk.prepared, |statement| statement.approval = other);
    desk.hand_out(&renamed).await;
    let submitted = desk.house.gateway.submit_review(other, &desk.bob, &renamed, &response).await;
    assert!(submitted.is_err());
    assert_eq!(desk.house.state(other).await, "pending");
    desk.ends_well().await;
}

/// **Authority**, "Forged click": in somebody else's session, or with somebody else's passkey.
#[tokio::test]
async fn another_persons_session_or_passkey_is_not_theirs() {
    let desk = Desk::new().await;
    let cyd = desk.house.human("cyd").await;
    let response = desk.house.passkey("bob").get(&desk.prepared.options);
    assert_eq!(refusal(desk.submit(&cyd, &desk.prepared.statement, &response).await), "other-action");
    for name in ["cyd", "ada"] {
        assert_eq!(refusal(desk.signed_by(&desk.house.passkey(name)).await), "not-active", "{name}");
    }
    assert_eq!(refusal(desk.signed_by(&SoftPasskey::new(250)).await), "not-active");
    desk.ends_well().await;
}

/// **Authority**, "replayed click: … single use".
#[tokio::test]
async fn a_statement_is_taken_once_good_or_bad() {
    let desk = Desk::new().await;
    let good = desk.house.passkey("bob").get(&desk.prepared.options);
    let bad = desk.house.passkey("cyd").get(&desk.prepared.options);
    assert_eq!(refusal(desk.submit(&desk.bob, &desk.prepared.statement, &bad).await), "not-active");
    assert_eq!(refusal(desk.submit(&desk.bob, &desk.prepared.statement, &good).await), "statement-expired");

    let prepared = desk.house.prepare(&desk.bob, desk.id, Verdict::Ask, Some("why?")).await.unwrap();
    let response = desk.house.passkey("bob").get(&prepared.options);
    desk.submit(&desk.bob, &prepared.statement, &response).await.unwrap();
    for _ in 0..3 {
        assert_eq!(
            refusal(desk.submit(&desk.bob, &prepared.statement, &response).await),
            "statement-expired"
        );
    }
    assert_eq!(desk.house.summary(desk.id).await.approval.case().questions.len(), 1);
    desk.house.never_runs(desk.id).await;
}

/// **Authority**, "replayed click": a hundred at once are one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_replays_at_once_are_one_review() {
    let desk = Arc::new(Desk::new().await);
    let response = desk.house.passkey("bob").get(&desk.prepared.options);
    let tries: Vec<_> = (0..100)
        .map(|_| {
            let (desk, response) = (Arc::clone(&desk), response.clone());
            tokio::spawn(
                async move { desk.submit(&desk.bob, &desk.prepared.statement, &response).await.is_ok() },
            )
        })
        .collect();
    let mut taken = 0;
    for one in tries {
        taken += usize::from(one.await.unwrap());
    }
    assert_eq!(taken, 1);
    desk.house.until(desk.id, "finished").await;
    assert_eq!(desk.house.runner.runs(), 1);
}

/// **Authority**, "Forged or replayed click: … skew".
#[tokio::test]
async fn a_statement_lapses() {
    let desk = Desk::new().await;
    let response = desk.house.passkey("bob").get(&desk.prepared.options);
    desk.house.later(10 * 60);
    assert_eq!(
        refusal(desk.submit(&desk.bob, &desk.prepared.statement, &response).await),
        "statement-expired"
    );
    // Had the vault kept it for longer, its own expiry would stand.
    desk.hand_out(&desk.prepared.statement).await;
    assert_eq!(
        refusal(desk.submit(&desk.bob, &desk.prepared.statement, &response).await),
        "statement-expired"
    );
    desk.ends_well().await;
}

/// **Authority**, "Forged click: signature": at another site, for another relying party, without the human.
#[tokio::test]
async fn a_signature_made_elsewhere_or_without_the_human_is_refused() {
    let desk = Desk::new().await;
    let good = desk.house.passkey("bob");
    let elsewhere = SoftPasskey { origin: "http://localhost:7677".to_owned(), ..good.clone() };
    let phished = SoftPasskey { origin: "https://evil.example".to_owned(), ..good.clone() };
    let other_party = SoftPasskey { rp_id: "evil.example".to_owned(), ..good.clone() };
    let unverified = SoftPasskey { flags: USER_PRESENT, ..good.clone() };
    let absent = SoftPasskey { flags: 0, ..good.clone() };
    for passkey in [elsewhere, phished, other_party, unverified, absent] {
        assert_eq!(refusal(desk.signed_by(&passkey).await), "bad-signature");
    }
    desk.ends_well().await;
}

/// **Authority**, "Forged click": each part of the browser's answer counts.
#[tokio::test]
async fn a_flipped_byte_anywhere_in_the_answer_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let desk = Desk::new().await;
    for part in ["clientDataJSON", "authenticatorData", "signature"] {
        for at in [0, 3, 10, 20, 30] {
            let prepared = desk.house.prepare(&desk.bob, desk.id, Verdict::Approve, None).await.unwrap();
            let response = desk.house.passkey("bob").get(&prepared.options);
            let mut response = domain::canonical::read_value(&response).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(response["response"][part].as_str().unwrap()).unwrap();
            bytes[at] ^= 1;
            response["response"][part] = URL_SAFE_NO_PAD.encode(bytes).into();
            let response = response.to_string();
            let refused = desk.submit(&desk.bob, &prepared.statement, response.as_bytes()).await;
            assert!(refused.is_err(), "byte {at} of {part} does not count");
        }
    }
    desk.ends_well().await;
}

/// **Authority**, "Forged click": a key that was revoked while its owner looked at the page.
#[tokio::test]
async fn a_revoked_passkey_signs_no_more() {
    let desk = Desk::new().await;
    let response = desk.house.passkey("bob").get(&desk.prepared.options);
    desk.house.revoke_key("bob").await;
    assert!(desk.submit(&desk.bob, &desk.prepared.statement, &response).await.is_err());
    assert!(desk.house.gateway.begin_login(None).await.is_ok());
    desk.house.never_runs(desk.id).await;
}

/// **Reviewer**, "The agent writes its own dialog": the page that was looked at is the page that counts.
#[tokio::test]
async fn a_page_that_has_changed_since_is_stale() {
    let desk = Desk::new().await;
    let displayed = read(&desk.prepared).displayed;
    desk.house.review("cyd", desk.id, Verdict::Ask, Some("why?")).await.unwrap();
    let verdict =
        desk.house.gateway.prepare_review(desk.id, &desk.bob, Verdict::Approve, None, displayed).await;
    assert!(matches!(verdict, Err(GatewayError::Stale(_))));
    let made_up = Digest::of(Purpose::Displayed, b"a page of my own");
    let verdict = desk.house.gateway.prepare_review(desk.id, &desk.bob, Verdict::Deny, None, made_up).await;
    assert!(matches!(verdict, Err(GatewayError::Stale(_))));
}

/// **Reviewer**, "Prefetched links: POST, login, nonce": looking at everything decides nothing.
#[tokio::test]
async fn looking_decides_nothing() {
    let desk = Desk::new().await;
    let before = desk.house.store().history(desk.id).await.unwrap().len();
    let summary = desk.house.gateway.approval_for(desk.id, &desk.bob).await.unwrap();
    desk.house.gateway.card(&summary).await.unwrap();
    let _ = desk.house.gateway.standing(&summary, desk.bob.person);
    desk.house.gateway.receipt(&summary, true).await.unwrap();
    desk.house.prepare(&desk.bob, desk.id, Verdict::Approve, None).await.unwrap();
    assert_eq!(desk.house.store().history(desk.id).await.unwrap().len(), before);
    desk.house.never_runs(desk.id).await;
}

/// What the statement says in words is what the digest covers.
#[tokio::test]
async fn the_statement_names_all_that_it_is_about() {
    let desk = Desk::new().await;
    let statement = read(&desk.prepared);
    let summary = desk.house.summary(desk.id).await;
    assert_eq!(statement.origin.as_str(), "countersign.example/log");
    assert_eq!((statement.approval, statement.action), (desk.id, summary.action.digest()));
    assert_eq!(statement.evaluation.digest, summary.approval.case().evaluation.digest().unwrap());
    assert_eq!(statement.reviewer, desk.bob.person);
    assert_eq!(statement.group, Some(group("dba")));
    assert_eq!(statement.displayed, desk.house.gateway.card(&summary).await.unwrap().digest().unwrap());
    assert_eq!(desk.prepared.options["userVerification"], "required");
    desk.ends_well().await;
}

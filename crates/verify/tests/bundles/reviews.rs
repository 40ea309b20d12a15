//! Reviews that lie, and keys of other kinds than the usual passkey.

use audit::{Ed25519Signer, NoteSigner as _};
use domain::digest::{Blob, Digest};
use domain::directory::{DirectoryEvent, Passkey};
use domain::event::{Dismissal, Event};
use domain::key::SshKey;
use domain::review::{Proof, SignedReview, SshSigProof};
use domain::statement::{Statement, Verdict};
use p256::ecdsa::signature::Signer as _;
use sha2::{Digest as _, Sha256, Sha512};

use crate::scene::*;
use crate::vectors::{Set, held, one};

pub(crate) fn lying_reviews(set: &mut Set) {
    type Change = fn(&mut Statement);
    let statements: [(&str, Change); 10] = [
        ("another-action", |s| s.action = Digest::from_bytes([3; 32])),
        ("another-approval", |s| s.approval = domain::id::ActionId::from_uuid(grant().uuid())),
        ("another-audience", |s| s.origin = "other.example/log".parse().unwrap()),
        ("another-evaluation", |s| s.evaluation.digest = Digest::from_bytes([3; 32])),
        ("another-requirement", |s| s.evaluation.requirement.ttl = domain::time::Span::from_seconds(1)),
        ("another-group", |s| s.group = Some("dev".parse().unwrap())),
        ("too-weak", |s| s.assurance = domain::requirement::Assurance::Chat),
        ("late", |s| s.expires = at(3)),
        ("no-group", |s| s.group = None),
        ("another-version", |s| s.v = 2),
    ];
    for (name, change) in statements {
        let mut scene = held(one());
        scene.review_with(ALICE, Verdict::Approve, change, &Hand::of(ALICE));
        set.scene(&format!("review-{name}"), &scene, "invalid");
    }
    let hands = [
        ("at-another-web-origin", Hand { web: "https://evil.example", ..Hand::of(ALICE) }),
        ("for-another-relying-party", Hand { rp_id: "evil.example", ..Hand::of(ALICE) }),
        ("user-not-verified", Hand { flags: 0x01, ..Hand::of(ALICE) }),
        ("user-not-present", Hand { flags: 0x04, ..Hand::of(ALICE) }),
        ("backup-impossible", Hand { flags: 0x15, ..Hand::of(ALICE) }),
        ("flags-announce-more", Hand { flags: 0x85, ..Hand::of(ALICE) }),
        ("of-another-ceremony", Hand { kind: "webauthn.create", ..Hand::of(ALICE) }),
        ("over-another-challenge", Hand { instead: Some(b"another".to_vec()), ..Hand::of(ALICE) }),
        ("by-another-key", Hand::of(BOB)),
    ];
    for (name, hand) in hands {
        let mut scene = held(one());
        scene.review_with(ALICE, Verdict::Approve, |_| {}, &hand);
        set.scene(&format!("review-{name}"), &scene, "invalid");
    }
    let mut scene = Scene::staffed(draft(1, "prod"), one());
    scene.enrol(SAM);
    scene.join(SAM, "dba");
    scene.request();
    scene.review(SAM, Verdict::Approve);
    set.scene("reviewer-on-the-chain", &scene, "invalid");
    let mut scene = held(one());
    scene.change(DirectoryEvent::AgentSponsorChanged { id: agent(), sponsor: person(ALICE) });
    scene.review(ALICE, Verdict::Approve);
    set.scene("reviewer-sponsors-by-now", &scene, "invalid");
    let mut scene = held(requirement(&[(2, "dba")]));
    scene.review(ALICE, Verdict::Approve);
    scene.review(ALICE, Verdict::Approve);
    set.scene("one-human-twice", &scene, "invalid");
    let mut scene = held(requirement(&[(2, "dba")]));
    let statement = scene.statement(ALICE, Verdict::Approve);
    let review = Hand::of(ALICE).sign(&statement.write().unwrap());
    scene.event(&Event::Reviewed { review: review.clone() });
    scene.event(&Event::Reviewed { review });
    set.scene("one-review-twice", &scene, "invalid");
    let mut scene = held(requirement(&[(2, "dba")]));
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    set.scene("run-without-quorum", &scene, "invalid");
    let mut scene = held(one());
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE, BOB]);
    set.scene("counts-who-did-not-review", &scene, "invalid");
    let mut scene = held(one());
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    scene.redeem(&[ALICE]);
    set.scene("run-twice", &scene, "invalid");
    let mut scene = held(one());
    scene.review(ALICE, Verdict::Approve);
    scene.seconds += 400;
    scene.redeem(&[ALICE]);
    set.scene("run-after-the-grant", &scene, "invalid");
    let mut scene = held(one());
    scene.finish();
    set.scene("outcome-without-a-run", &scene, "invalid");
    let mut scene = held(one());
    scene.request();
    set.scene("requested-twice", &scene, "invalid");
    let mut scene = held(one());
    scene.review(ALICE, Verdict::Approve);
    scene.event(&Event::Dismissed {
        reviews: vec![Dismissal { reviewer: person(BOB), why: "left".to_owned() }],
    });
    set.scene("dismissal-of-nobody", &scene, "invalid");
    for (name, verdict) in [("before", "invalid"), ("between", "invalid"), ("after", "valid")] {
        let mut scene = Scene::staffed(draft(1, "prod"), one());
        let revoked = DirectoryEvent::KeyRevoked { person: person(ALICE), credential_id: credential(ALICE) };
        scene.request();
        if name == "before" {
            scene.change(revoked.clone());
        }
        scene.review(ALICE, Verdict::Approve);
        if name == "between" {
            scene.change(revoked.clone());
        }
        scene.redeem(&[ALICE]);
        if name == "after" {
            scene.change(revoked);
        }
        set.scene(&format!("key-revoked-{name}"), &scene, verdict);
    }
    let mut scene = Scene::of(draft(1, "prod"), one());
    scene.join(ALICE, "dba");
    scene.request();
    scene.review(ALICE, Verdict::Approve);
    scene.enrol(ALICE);
    set.scene("key-enrolled-only-later", &scene, "invalid");
    let mut scene = held(one());
    scene.change(DirectoryEvent::PersonDeactivated { id: person(ALICE) });
    scene.review(ALICE, Verdict::Deny);
    set.scene("reviewer-had-left", &scene, "invalid");
}

/// EdDSA passkeys, and keys of OpenSSH's on a security key.
pub(crate) fn other_keys(set: &mut Set) {
    let signer = log_key("a.passkey", 77);
    let public = signer.verifier().public_bytes();
    let key = Passkey {
        public_key: Blob(
            [&[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20], public.as_slice()].concat(),
        ),
        ..enrolment(ALICE, "an Ed25519 key")
    };
    let reviewed = |change: DirectoryEvent, sign: &dyn Fn(&[u8]) -> SignedReview| {
        let mut scene = Scene::of(draft(1, "prod"), one());
        scene.enrol_key(ALICE, change);
        scene.join(ALICE, "dba");
        scene.request();
        let statement = scene.statement(ALICE, Verdict::Approve).write().unwrap();
        scene.event(&Event::Reviewed { review: sign(&statement) });
        scene.redeem(&[ALICE]);
        scene
    };
    let enrolled = DirectoryEvent::KeyEnrolled { person: person(ALICE), key };
    let eddsa = |statement: &[u8]| {
        Hand::of(ALICE).sign_with(statement, |message| signer.sign(message).unwrap().to_vec())
    };
    set.scene("eddsa", &reviewed(enrolled.clone(), &eddsa), "valid");
    let p256 = |statement: &[u8]| Hand::of(ALICE).sign(statement);
    set.scene("eddsa-signed-by-another", &reviewed(enrolled, &p256), "invalid");

    for ecdsa in [false, true] {
        let name = if ecdsa { "ssh-ecdsa" } else { "ssh-ed25519" };
        let hand = SshHand::of(ecdsa);
        let enrolled = DirectoryEvent::SshKeyEnrolled {
            person: person(ALICE),
            key: SshKey { public_key: Blob(hand.public_key()), label: "a stick".to_owned() },
        };
        let signs = |hand: SshHand| {
            let enrolled = enrolled.clone();
            reviewed(enrolled, &move |statement| hand.sign(statement))
        };
        set.scene(name, &signs(SshHand::of(ecdsa)), "valid");
        set.scene(&format!("{name}-sha256"), &signs(SshHand { sha256: true, ..SshHand::of(ecdsa) }), "valid");
        let broken = [
            ("another-namespace", SshHand { namespace: "git", ..SshHand::of(ecdsa) }),
            ("not-verified", SshHand { flags: 0x01, ..SshHand::of(ecdsa) }),
            ("not-present", SshHand { flags: 0x04, ..SshHand::of(ecdsa) }),
            ("another-statement", SshHand { prefix: b"", ..SshHand::of(ecdsa) }),
            ("another-application", SshHand { application: "ssh:other", ..SshHand::of(ecdsa) }),
        ];
        for (what, hand) in broken {
            set.scene(&format!("{name}-{what}"), &signs(hand), "invalid");
        }
    }
}

/// How OpenSSH and a security key sign.
struct SshHand {
    ecdsa: bool,
    namespace: &'static str,
    application: &'static str,
    flags: u8,
    prefix: &'static [u8],
    sha256: bool,
}

impl SshHand {
    fn of(ecdsa: bool) -> Self {
        Self {
            ecdsa,
            namespace: "approval-statement@countersign",
            application: "ssh:",
            flags: 0x05,
            prefix: b"countersign/approval-statement/v1\n",
            sha256: false,
        }
    }

    fn algorithm(&self) -> &'static [u8] {
        if self.ecdsa { b"sk-ecdsa-sha2-nistp256@openssh.com" } else { b"sk-ssh-ed25519@openssh.com" }
    }

    fn public_key(&self) -> Vec<u8> {
        let application = self.application.as_bytes();
        if self.ecdsa {
            let point = passkey(40).verifying_key().to_sec1_point(false);
            wire(&[self.algorithm(), b"nistp256", point.as_bytes(), application])
        } else {
            let public = Self::ed25519().verifier().public_bytes();
            wire(&[self.algorithm(), &public, application])
        }
    }

    fn ed25519() -> Ed25519Signer {
        log_key("a.stick", 78)
    }

    fn sign(&self, statement: &[u8]) -> SignedReview {
        let message = [self.prefix, statement].concat();
        let (name, hashed): (&[u8], _) = if self.sha256 {
            (b"sha256", Sha256::digest(&message).to_vec())
        } else {
            (b"sha512", Sha512::digest(&message).to_vec())
        };
        let data = [b"SSHSIG".to_vec(), wire(&[self.namespace.as_bytes(), b"", name, &hashed])].concat();
        let tail = [&[self.flags][..], &7_u32.to_be_bytes()].concat();
        let signed =
            [Sha256::digest(self.application).as_slice(), &tail, Sha256::digest(&data).as_slice()].concat();
        let raw = if self.ecdsa {
            let signature: p256::ecdsa::Signature = passkey(40).sign(&signed);
            let bytes = signature.to_bytes();
            wire(&[&mpint(&bytes[..32]), &mpint(&bytes[32..])])
        } else {
            Self::ed25519().sign(&signed).unwrap().to_vec()
        };
        let inner = [wire(&[self.algorithm(), &raw]), tail].concat();
        let head = [b"SSHSIG".as_slice(), &1_u32.to_be_bytes()].concat();
        let parts = wire(&[&self.public_key(), self.namespace.as_bytes(), b"", name, &inner]);
        let key = Self::of(self.ecdsa).public_key();
        SignedReview {
            statement: Blob(statement.to_vec()),
            proof: Proof::SshSig(SshSigProof {
                key: domain::key::ssh_key_id(&key),
                signature: Blob([head, parts].concat()),
            }),
        }
    }
}

fn wire(strings: &[&[u8]]) -> Vec<u8> {
    strings
        .iter()
        .flat_map(|string| [u32::try_from(string.len()).unwrap().to_be_bytes().to_vec(), string.to_vec()])
        .flatten()
        .collect()
}

fn mpint(number: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = number.iter().copied().skip_while(|digit| *digit == 0).collect();
    if digits[0] >= 0x80 { [vec![0], digits].concat() } else { digits }
}

//! The check of a verdict's signature, over the directory as it stands now.

use assertion::{
    Assertion, LATER_NAMESPACE, PublicKey, RelyingParty, STATEMENT_NAMESPACE, SshPublicKey, UserVerification,
    check_assertion, check_ssh_signature, later_challenge, later_message, statement_challenge,
    statement_message,
};
use domain::Refusal;
use domain::action::Action;
use domain::directory::{Directory, Person};
use domain::id::PersonId;
use domain::later::LaterStatement;
use domain::principal::Principal;
use domain::requirement::Assurance;
use domain::review::{
    CHAT_EVIDENCE_LIMIT_BYTES, ChatProof, PasskeyProof, Proof, ReviewVerifier, SignedReview, SshSigProof,
    Standing,
};
use domain::statement::Statement;

use crate::passkey::credential_id;

/// Verifies a review with the keys that the directory has now, and says how its reviewer stands now.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryVerifier<'a> {
    /// The directory as it stands.
    pub directory: &'a Directory,
    /// Whom a passkey must have signed for.
    pub relying_party: &'a RelyingParty,
}

impl ReviewVerifier for DirectoryVerifier<'_> {
    fn verify(
        &self,
        signed: &SignedReview,
        statement: &Statement,
        action: &Action,
    ) -> Result<Standing, Refusal> {
        // The signature is over the bytes; what is acted upon must be what they say.
        if signed.read_statement()? != *statement {
            return Err(Refusal::Signature("it is over another statement".to_owned()));
        }
        let bytes = &signed.statement.0;
        let said = Said {
            reviewer: statement.reviewer,
            assurance: statement.assurance,
            challenge: statement_challenge(bytes),
            namespace: STATEMENT_NAMESPACE,
            message: statement_message(bytes),
        };
        self.signed(&said, &signed.proof, action)
    }

    fn verify_later(
        &self,
        signed: &SignedReview,
        statement: &LaterStatement,
        action: &Action,
    ) -> Result<Standing, Refusal> {
        let bytes = &signed.statement.0;
        if LaterStatement::read(bytes)? != *statement {
            return Err(Refusal::Signature("it is over another statement".to_owned()));
        }
        let said = Said {
            reviewer: statement.reviewer,
            assurance: statement.assurance,
            challenge: later_challenge(bytes),
            namespace: LATER_NAMESPACE,
            message: later_message(bytes),
        };
        self.signed(&said, &signed.proof, action)
    }
}

/// What a human signed, whichever kind of statement it is.
struct Said {
    reviewer: PersonId,
    assurance: Assurance,
    /// What a passkey was challenged with.
    challenge: [u8; 32],
    /// Under which namespace an SSH key signed.
    namespace: &'static str,
    /// What an SSH key signed.
    message: Vec<u8>,
}

impl DirectoryVerifier<'_> {
    /// Checks a signature with the keys that its human has now, and says how they stand.
    fn signed(&self, said: &Said, proof: &Proof, action: &Action) -> Result<Standing, Refusal> {
        let reviewer = self
            .directory
            .person(said.reviewer)
            .filter(|person| person.active)
            .ok_or_else(|| Refusal::NotActive(Principal::Person(said.reviewer).to_string()))?;
        match proof {
            Proof::Passkey(proof) => self.passkey(reviewer, &said.challenge, proof)?,
            Proof::SshSig(proof) => ssh_key(reviewer, said, proof)?,
            Proof::Chat(proof) => chat(reviewer, proof)?,
        }
        if said.assurance != proof.assurance() {
            return Err(Refusal::Assurance);
        }
        let controls_caller = self.controls(reviewer.id, action);
        Ok(Standing { groups: reviewer.groups.clone(), controls_caller })
    }

    /// A signature over the statement's exact bytes, by a key of this reviewer and of nobody else, with
    /// user verification.
    fn passkey(&self, reviewer: &Person, challenge: &[u8; 32], proof: &PasskeyProof) -> Result<(), Refusal> {
        // Not a bad signature: a key that was revoked since makes a review void, and is no sign of a forgery.
        let key =
            reviewer.keys.iter().find(|key| key.credential_id == proof.credential_id).ok_or_else(|| {
                Refusal::NotActive("the passkey is not, or no longer, enrolled for this reviewer".to_owned())
            })?;
        let refused = |why: assertion::Refusal| Refusal::Signature(why.to_string());
        let assertion = Assertion {
            credential_id: credential_id(&proof.credential_id).map_err(refused)?,
            client_data_json: proof.client_data_json.0.clone(),
            authenticator_data: proof.authenticator_data.0.clone(),
            signature: proof.signature.0.clone(),
            user_handle: None,
        };
        check_assertion(
            self.relying_party,
            challenge,
            &PublicKey::from_cose(&key.public_key.0).map_err(refused)?,
            &assertion,
            UserVerification::Required,
        )
        .map_err(refused)?;
        Ok(())
    }

    /// Whether the person is the caller, or sponsors the caller or any other agent on the chain now,
    /// whatever the chain said when the action was sealed. An agent that the directory does not know is
    /// taken to be theirs: the doubt counts against the review.
    fn controls(&self, person: PersonId, action: &Action) -> bool {
        let chain = action.chain();
        chain.caller == Principal::Person(person)
            || chain.parties().any(|party| match party {
                Principal::Person(_) => false,
                Principal::Agent(agent) => {
                    self.directory.agent(agent).is_none_or(|agent| agent.sponsor == person)
                }
            })
    }
}

/// A click in an account that is linked to this reviewer now. No key signed: what is checked is that the account still
/// stands for them, and the statement claims no more than that ([`Assurance::Chat`]).
fn chat(reviewer: &Person, proof: &ChatProof) -> Result<(), Refusal> {
    let actual = proof.evidence.0.len();
    if actual > CHAT_EVIDENCE_LIMIT_BYTES {
        let (what, limit, unit) = ("a click's evidence", CHAT_EVIDENCE_LIMIT_BYTES, "bytes");
        return Err(domain::Malformed::TooLarge { what, actual, limit, unit }.into());
    }
    if reviewer.accounts.contains(&proof.account) {
        return Ok(());
    }
    let why = format!("the account `{}` is not, or no longer, linked to this reviewer", proof.account);
    Err(Refusal::NotActive(why))
}

/// A signature over the statement's exact bytes by an SSH key of this reviewer's on a security key, with user
/// verification. What binds it to this deployment is the statement's own origin: a terminal has none.
fn ssh_key(reviewer: &Person, said: &Said, proof: &SshSigProof) -> Result<(), Refusal> {
    // As with a passkey: one that was revoked since is no sign of a forgery.
    let key = reviewer.ssh_keys.iter().find(|key| key.id() == proof.key).ok_or_else(|| {
        Refusal::NotActive("the SSH key is not, or no longer, enrolled for this reviewer".to_owned())
    })?;
    let refused = |why: assertion::Refusal| Refusal::Signature(why.to_string());
    let public = SshPublicKey::from_bytes(&key.public_key.0).map_err(refused)?;
    check_ssh_signature(&public, said.namespace, &said.message, &proof.signature.0).map_err(refused)?;
    Ok(())
}

//! The check of a verdict's signature, over the directory as it stands now.

use assertion::{
    Assertion, PublicKey, RelyingParty, STATEMENT_NAMESPACE, SshPublicKey, UserVerification, check_assertion,
    check_ssh_signature, statement_challenge, statement_message,
};
use domain::Refusal;
use domain::action::Action;
use domain::directory::{Directory, Person};
use domain::id::PersonId;
use domain::principal::Principal;
use domain::review::{PasskeyProof, Proof, ReviewVerifier, SignedReview, SshSigProof, Standing};
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
        let reviewer = self
            .directory
            .person(statement.reviewer)
            .filter(|person| person.active)
            .ok_or_else(|| Refusal::NotActive(Principal::Person(statement.reviewer).to_string()))?;
        match &signed.proof {
            Proof::Passkey(proof) => self.passkey(reviewer, &signed.statement.0, proof)?,
            Proof::SshSig(proof) => ssh_key(reviewer, &signed.statement.0, proof)?,
        }
        if statement.assurance != signed.proof.assurance() {
            return Err(Refusal::Assurance);
        }
        let controls_caller = self.controls(reviewer.id, action);
        Ok(Standing { groups: reviewer.groups.clone(), controls_caller })
    }
}

impl DirectoryVerifier<'_> {
    /// A signature over the statement's exact bytes, by a key of this reviewer and of nobody else, with
    /// user verification.
    fn passkey(&self, reviewer: &Person, statement: &[u8], proof: &PasskeyProof) -> Result<(), Refusal> {
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
            &statement_challenge(statement),
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

/// A signature over the statement's exact bytes by an SSH key of this reviewer's on a security key, with user
/// verification. What binds it to this deployment is the statement's own origin: a terminal has none.
fn ssh_key(reviewer: &Person, statement: &[u8], proof: &SshSigProof) -> Result<(), Refusal> {
    // As with a passkey: one that was revoked since is no sign of a forgery.
    let key = reviewer.ssh_keys.iter().find(|key| key.id() == proof.key).ok_or_else(|| {
        Refusal::NotActive("the SSH key is not, or no longer, enrolled for this reviewer".to_owned())
    })?;
    let refused = |why: assertion::Refusal| Refusal::Signature(why.to_string());
    let public = SshPublicKey::from_bytes(&key.public_key.0).map_err(refused)?;
    let message = statement_message(statement);
    check_ssh_signature(&public, STATEMENT_NAMESPACE, &message, &proof.signature.0).map_err(refused)?;
    Ok(())
}

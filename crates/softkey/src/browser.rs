//! A browser and an authenticator that we did not write: the `passkey` crate.

use std::borrow::Cow;

use anyhow::{Context as _, anyhow};
use passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData, Origin};
use passkey::crypto::rust_crypto::RustCryptoBackend;
use passkey::types::Passkey;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use passkey::types::webauthn::{CredentialCreationOptions, CredentialRequestOptions};
use serde_json::{Value, json};

use crate::base64url;

/// Somebody who is always there and always has the right finger.
struct Willing;

#[async_trait::async_trait]
impl UserValidationMethod for Willing {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// One person's browser at one site, with their passkey in software. It says yes to everything.
pub struct SoftBrowser {
    key: Option<Passkey>,
    site: String,
}

impl SoftBrowser {
    /// An empty authenticator in a browser that stands at `site`, such as `http://localhost:7676`.
    #[must_use]
    pub fn new(site: &str) -> Self {
        Self { key: None, site: site.trim_end_matches('/').to_owned() }
    }

    /// `navigator.credentials.create()`: from `PublicKeyCredentialCreationOptionsJSON` to
    /// `RegistrationResponseJSON`.
    ///
    /// # Errors
    /// Options that do not read, or that a browser at this site refuses.
    pub async fn enrol(&mut self, options: &Value) -> anyhow::Result<Value> {
        let options: CredentialCreationOptions = serde_json::from_value(json!({ "publicKey": options }))
            .context("these are no options to create a passkey")?;
        let mut browser = Client::new(self.authenticator()).allows_insecure_localhost(true);
        let made = browser
            .register(self.page()?, options, DefaultClientData)
            .await
            .map_err(|error| anyhow!("the browser refused to make a passkey: {error:?}"))?;
        self.key.clone_from(browser.authenticator().store());
        Ok(json!({
            "type": "public-key",
            "id": made.id,
            "rawId": base64url(&made.raw_id),
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(&made.response.client_data_json),
                "attestationObject": base64url(&made.response.attestation_object),
            },
        }))
    }

    /// `navigator.credentials.get()`: from `PublicKeyCredentialRequestOptionsJSON` to
    /// `AuthenticationResponseJSON`.
    ///
    /// # Errors
    /// Options that do not read, or that a browser at this site refuses; no passkey that fits.
    pub async fn assert(&mut self, options: &Value) -> anyhow::Result<Value> {
        let options: CredentialRequestOptions = serde_json::from_value(json!({ "publicKey": options }))
            .context("these are no options to use a passkey")?;
        let mut browser = Client::new(self.authenticator()).allows_insecure_localhost(true);
        let signed = browser
            .authenticate(self.page()?, options, DefaultClientData)
            .await
            .map_err(|error| anyhow!("the browser refused to use the passkey: {error:?}"))?;
        self.key.clone_from(browser.authenticator().store());
        Ok(json!({
            "type": "public-key",
            "id": signed.id,
            "rawId": base64url(&signed.raw_id),
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url(&signed.response.client_data_json),
                "authenticatorData": base64url(&signed.response.authenticator_data),
                "signature": base64url(&signed.response.signature),
                "userHandle": signed.response.user_handle.as_ref().map(|handle| base64url(handle)),
            },
        }))
    }

    fn authenticator(&self) -> Authenticator<Option<Passkey>, Willing, RustCryptoBackend> {
        Authenticator::new(Aaguid::from([0; 16]), self.key.clone(), Willing, RustCryptoBackend)
    }

    fn page(&self) -> anyhow::Result<Origin<'static>> {
        let site = self.site.parse().with_context(|| format!("`{}` is not a site", self.site))?;
        Ok(Origin::Web(Cow::Owned(site)))
    }
}

impl std::fmt::Debug for SoftBrowser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoftBrowser").field("site", &self.site).finish_non_exhaustive()
    }
}

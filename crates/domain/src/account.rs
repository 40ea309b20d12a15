//! Accounts that people have elsewhere, such as in a chat service, and that stand for them here once they were linked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Malformed;
use crate::digest::Blob;
use crate::id::TargetName;

/// One account of one provider. Providers give users ids that are theirs alone within a team; neither a name nor an
/// e-mail address stands here, since both can come to be somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", deny_unknown_fields)]
pub struct ExternalAccount {
    provider: TargetName,
    team: String,
    user: String,
}

/// The longest team or user id, in bytes.
pub const ACCOUNT_ID_LIMIT_BYTES: usize = 255;

impl ExternalAccount {
    /// An account: with which provider (`slack`, `teams`), in which of its teams, workspaces or tenants, and which user
    /// there.
    ///
    /// # Errors
    /// A provider that is no name; a team or user that is empty, over [`ACCOUNT_ID_LIMIT_BYTES`], or anything but
    /// visible ASCII.
    pub fn new(provider: &str, team: &str, user: &str) -> Result<Self, Malformed> {
        Ok(Self {
            provider: provider.parse()?,
            team: account_id("team", team)?,
            user: account_id("user", user)?,
        })
    }

    /// The provider, such as `slack`.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.provider.as_str()
    }

    /// The team, workspace or tenant, in the provider's own id.
    #[must_use]
    pub fn team(&self) -> &str {
        &self.team
    }

    /// The user, in the provider's own id.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The account as bytes, under which it is found among a person's keys: `provider ‖ 0x0A ‖ team ‖ 0x0A ‖ user`.
    #[must_use]
    pub fn id(&self) -> Blob {
        Blob(format!("{}\n{}\n{}", self.provider, self.team, self.user).into_bytes())
    }
}

impl fmt::Display for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.provider, self.team, self.user)
    }
}

/// As it is read, before the limits are looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    provider: String,
    team: String,
    user: String,
}

impl TryFrom<Unchecked> for ExternalAccount {
    type Error = Malformed;

    fn try_from(read: Unchecked) -> Result<Self, Malformed> {
        Self::new(&read.provider, &read.team, &read.user)
    }
}

fn account_id(what: &'static str, text: &str) -> Result<String, Malformed> {
    if text.is_empty() || text.len() > ACCOUNT_ID_LIMIT_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Malformed::value(what, text, "an id of 1 to 255 visible ASCII characters is expected"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_reads_as_it_was_written_and_within_its_limits() {
        let account = ExternalAccount::new("slack", "T0001", "U42").unwrap();
        let text = serde_json::to_string(&account).unwrap();
        assert_eq!(text, r#"{"provider":"slack","team":"T0001","user":"U42"}"#);
        assert_eq!(serde_json::from_str::<ExternalAccount>(&text).unwrap(), account);
        assert_eq!(account.to_string(), "slack:T0001:U42");
        let long = "x".repeat(ACCOUNT_ID_LIMIT_BYTES + 1);
        for (team, user) in
            [("", "U"), ("T", ""), ("T", "a b"), ("T\n", "U"), ("T", "ü"), ("T", long.as_str())]
        {
            assert!(ExternalAccount::new("slack", team, user).is_err(), "{team:?} {user:?}");
            let text = serde_json::json!({"provider": "slack", "team": team, "user": user}).to_string();
            assert!(serde_json::from_str::<ExternalAccount>(&text).is_err(), "{text}");
        }
        // What cannot stand in an id keeps two accounts from ever having one id.
        assert_ne!(
            ExternalAccount::new("slack", "a", "bc").unwrap().id(),
            ExternalAccount::new("slack", "ab", "c").unwrap().id()
        );
    }
}

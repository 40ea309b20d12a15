//! Whether whoever clicked is a full member of this workspace, by what Slack says of them now. Pure.

use serde::Deserialize;

/// A person as `users.info` has them. What Slack leaves out of these is no `false`: it is a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) team_id: Option<String>,
    pub(super) deleted: Option<bool>,
    pub(super) is_bot: Option<bool>,
    pub(super) is_restricted: Option<bool>,
    pub(super) is_ultra_restricted: Option<bool>,
    /// Said only of people of another workspace, through Slack Connect.
    pub(super) is_stranger: Option<bool>,
    /// Said of people in an Enterprise organisation.
    pub(super) enterprise_user: Option<Enterprise>,
}

/// Someone's organisation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Enterprise {
    /// The workspaces that they are in.
    #[serde(default)]
    pub(super) teams: Vec<String>,
}

/// Why somebody's clicks count for nothing here, in words for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoMember {
    #[error("Slack says that this account is deactivated")]
    Deleted,
    #[error("bots cannot review")]
    Bot,
    #[error("guests of this workspace cannot review")]
    Guest,
    #[error("people of other organisations (Slack Connect) cannot review")]
    Stranger,
    #[error("you belong to another workspace; only its own members can review here")]
    OtherTeam,
    #[error("this came through another app or another workspace")]
    Elsewhere,
    #[error("Slack does not say enough about your account to let it review")]
    Unknown,
}

/// Whether a person is an active, full member of `team`. `claimed` is the workspace that the click named as theirs.
///
/// # Errors
/// [`NoMember`], the first that applies.
pub(super) fn member(user: &User, asked: &str, claimed: Option<&str>, team: &str) -> Result<(), NoMember> {
    if user.id != asked {
        return Err(NoMember::Unknown);
    }
    let flag = |flag: Option<bool>, refusal| match flag {
        Some(false) => Ok(()),
        Some(true) => Err(refusal),
        None => Err(NoMember::Unknown),
    };
    if user.is_stranger == Some(true) {
        return Err(NoMember::Stranger);
    }
    let home = user.team_id.as_deref();
    let within = |enterprise: &Enterprise| enterprise.teams.iter().any(|one| one == team);
    let here = home == Some(team) || user.enterprise_user.as_ref().is_some_and(within);
    if !here || claimed.is_some_and(|claimed| Some(claimed) != home && claimed != team) {
        return Err(NoMember::OtherTeam);
    }
    // A deactivated account is told by this flag alone; the others may be left out of it.
    flag(user.deleted, NoMember::Deleted)?;
    flag(user.is_bot, NoMember::Bot)?;
    flag(user.is_restricted, NoMember::Guest)?;
    flag(user.is_ultra_restricted, NoMember::Guest)
}

//! Who and what the deployment knows: people, keys, groups, agents, routes, policy. It is what its
//! logged changes replay to, small enough to stand in memory whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Malformed;
use crate::account::ExternalAccount;
use crate::digest::{Blob, Digest, Purpose};
use crate::id::{ActionId, AgentId, GroupName, PersonId, TargetName};
use crate::key::{SSH_KEY_LIMIT_BYTES, SshKey};
use crate::principal::Principal;
use crate::time::Timestamp;

/// One logged change: what changed, who changed it, and under which approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What changed.
    pub event: DirectoryEvent,
    /// Who did it; nobody at bootstrap.
    pub by: Option<Principal>,
    /// The approval by a second person; none at bootstrap and in solo evaluation.
    pub approval: Option<ActionId>,
}

/// What can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DirectoryEvent {
    /// A human is known.
    PersonAdded {
        /// Their id.
        id: PersonId,
        /// Their name, as cards show it.
        name: String,
    },
    /// A human has left: sessions end, unused approvals are void, keys sign no more.
    PersonDeactivated {
        /// Who.
        id: PersonId,
    },
    /// A passkey speaks for a human.
    KeyEnrolled {
        /// For whom.
        person: PersonId,
        /// The key.
        key: Passkey,
    },
    /// A key of OpenSSH's on a security key speaks for a human, at a terminal.
    SshKeyEnrolled {
        /// For whom.
        person: PersonId,
        /// The key.
        key: SshKey,
    },
    /// A key speaks for nobody any more.
    KeyRevoked {
        /// Whose.
        person: PersonId,
        /// Which: a passkey's credential id, or an SSH key's [`SshKey::id`].
        credential_id: Blob,
    },
    /// An account elsewhere, such as in a chat service, stands for a human: what is clicked there is theirs, where policy
    /// lets a click suffice. They confirmed it with their passkey while they held the account.
    AccountLinked {
        /// For whom.
        person: PersonId,
        /// Which account.
        account: ExternalAccount,
    },
    /// An account elsewhere stands for nobody any more.
    AccountUnlinked {
        /// Whose.
        person: PersonId,
        /// Which account.
        account: ExternalAccount,
    },
    /// A human joins a group.
    GroupJoined {
        /// Which group; it exists by having members.
        group: GroupName,
        /// Who.
        person: PersonId,
    },
    /// A human leaves a group.
    GroupLeft {
        /// Which group.
        group: GroupName,
        /// Who.
        person: PersonId,
    },
    /// An agent is known.
    AgentAdded {
        /// Its id.
        id: AgentId,
        /// Its name, as cards show it.
        name: String,
        /// The human who answers for it.
        sponsor: PersonId,
        /// Its Ed25519 public key, 32 bytes.
        key: Blob,
    },
    /// An agent has another key.
    AgentKeyReplaced {
        /// Which agent.
        id: AgentId,
        /// Its Ed25519 public key, 32 bytes.
        key: Blob,
    },
    /// An agent has another sponsor.
    AgentSponsorChanged {
        /// Which agent.
        id: AgentId,
        /// The human who answers for it now.
        sponsor: PersonId,
    },
    /// An agent is let in no more.
    AgentDisabled {
        /// Which.
        id: AgentId,
    },
    /// A route is as this document says.
    RouteSet {
        /// Its name.
        name: TargetName,
        /// The route's document, as the point that owns it reads it (JSON).
        document: String,
    },
    /// A route is no more.
    RouteRemoved {
        /// Which.
        name: TargetName,
    },
    /// This policy set decides from now on.
    PolicyApplied {
        /// The Cedar text.
        text: String,
    },
}

/// A passkey, as it was enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkey {
    /// WebAuthn's credential id.
    pub credential_id: Blob,
    /// The public key, COSE.
    pub public_key: Blob,
    /// The relying party's id.
    pub rp_id: String,
    /// The origin at which it was enrolled.
    pub origin: String,
    /// What its owner calls it.
    pub label: String,
}

/// A human.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their id.
    pub id: PersonId,
    /// Their name.
    pub name: String,
    /// Whether they may still do anything.
    pub active: bool,
    /// Their enrolled passkeys that are not revoked.
    pub keys: Vec<Passkey>,
    /// Their enrolled SSH keys that are not revoked. They sign reviews and let nobody in: whoever has no passkey
    /// is nobody who could act, whatever stands here.
    pub ssh_keys: Vec<SshKey>,
    /// Their accounts elsewhere that are linked.
    pub accounts: BTreeSet<ExternalAccount>,
    /// Their groups.
    pub groups: BTreeSet<GroupName>,
    /// Since when they are known.
    pub since: Timestamp,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub sponsor: PersonId,
    /// Its Ed25519 public key.
    pub key: Blob,
    /// Whether it is let in.
    pub active: bool,
    /// Since when it is known.
    pub since: Timestamp,
}

/// A route's document and its digest, which is part of every action on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDocument {
    /// The document (JSON).
    pub text: String,
    /// Its digest.
    pub definition: Digest,
}

/// A policy set and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDocument {
    /// The Cedar text.
    pub text: String,
    /// Its digest.
    pub digest: Digest,
    /// Since when it decides.
    pub since: Timestamp,
}

/// The whole directory at one version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory {
    version: u64,
    people: BTreeMap<PersonId, Person>,
    agents: BTreeMap<AgentId, Agent>,
    routes: BTreeMap<TargetName, RouteDocument>,
    policy: Option<PolicyDocument>,
}

/// The payload path under which a proposed change stands: its event's canonical bytes.
pub const CHANGE_PATH: &str = "config.change";
/// The verb of a key's enrolment and revocation.
pub const KEY_VERB: &str = "config.key";
/// The verb of joining and leaving a group.
pub const GROUP_VERB: &str = "config.group";
/// The longest name of a person or an agent, in bytes.
pub const DISPLAY_NAME_LIMIT_BYTES: usize = 128;
/// The largest route document or policy text, in bytes.
pub const DOCUMENT_LIMIT_BYTES: usize = 1 << 20;
/// The most keys that one person may have, passkeys and SSH keys together.
pub const KEYS_LIMIT: usize = 16;
/// The most accounts elsewhere that may be linked to one person.
pub const ACCOUNTS_LIMIT: usize = 16;

impl Directory {
    /// The directory after a change.
    ///
    /// # Errors
    /// A change that makes no sense on what stands: an unknown person, a name that is taken, a key that is
    /// enrolled already, the last administrator's departure.
    pub fn apply(&mut self, event: &DirectoryEvent, at: Timestamp) -> Result<(), Malformed> {
        self.check(event)?;
        match event {
            DirectoryEvent::PersonAdded { id, name } => {
                let person = Person {
                    id: *id,
                    name: name.clone(),
                    active: true,
                    keys: Vec::new(),
                    ssh_keys: Vec::new(),
                    accounts: BTreeSet::new(),
                    groups: BTreeSet::new(),
                    since: at,
                };
                self.people.insert(*id, person);
            }
            DirectoryEvent::PersonDeactivated { id } => {
                self.with_person(*id, |person| {
                    person.active = false;
                    person.groups.clear();
                    person.keys.clear();
                    person.ssh_keys.clear();
                    person.accounts.clear();
                });
            }
            DirectoryEvent::KeyEnrolled { person, key } => {
                self.with_person(*person, |person| person.keys.push(key.clone()));
            }
            DirectoryEvent::SshKeyEnrolled { person, key } => {
                self.with_person(*person, |person| person.ssh_keys.push(key.clone()));
            }
            DirectoryEvent::KeyRevoked { person, credential_id } => {
                self.with_person(*person, |person| {
                    person.keys.retain(|key| key.credential_id != *credential_id);
                    person.ssh_keys.retain(|key| key.id() != *credential_id);
                });
            }
            DirectoryEvent::AccountLinked { person, account } => {
                self.with_person(*person, |person| {
                    person.accounts.insert(account.clone());
                });
            }
            DirectoryEvent::AccountUnlinked { person, account } => {
                self.with_person(*person, |person| {
                    person.accounts.remove(account);
                });
            }
            DirectoryEvent::GroupJoined { group, person } => {
                self.with_person(*person, |person| {
                    person.groups.insert(group.clone());
                });
            }
            DirectoryEvent::GroupLeft { group, person } => {
                self.with_person(*person, |person| {
                    person.groups.remove(group);
                });
            }
            DirectoryEvent::AgentAdded { id, name, sponsor, key } => {
                let agent = Agent {
                    id: *id,
                    name: name.clone(),
                    sponsor: *sponsor,
                    key: key.clone(),
                    active: true,
                    since: at,
                };
                self.agents.insert(*id, agent);
            }
            DirectoryEvent::AgentKeyReplaced { id, key } => {
                self.with_agent(*id, |agent| agent.key = key.clone())
            }
            DirectoryEvent::AgentSponsorChanged { id, sponsor } => {
                self.with_agent(*id, |agent| agent.sponsor = *sponsor);
            }
            DirectoryEvent::AgentDisabled { id } => self.with_agent(*id, |agent| agent.active = false),
            DirectoryEvent::RouteSet { name, document } => {
                let definition = Digest::of(Purpose::Definition, document.as_bytes());
                self.routes.insert(name.clone(), RouteDocument { text: document.clone(), definition });
            }
            DirectoryEvent::RouteRemoved { name } => {
                self.routes.remove(name);
            }
            DirectoryEvent::PolicyApplied { text } => {
                let digest = Digest::of(Purpose::Policy, text.as_bytes());
                self.policy = Some(PolicyDocument { text: text.clone(), digest, since: at });
            }
        }
        self.version += 1;
        Ok(())
    }

    /// Refuses a new person's or agent's name that looks like that of an active one: the same but for case, or for
    /// letters that are confusable (UTS 39, section 4). Whoever reads a card tells people apart by their names.
    ///
    /// A passkey whose public key speaks for somebody else is refused as well, under whatever credential id: one human
    /// with it would fill two places.
    ///
    /// It is asked before a change is proposed and before it is applied, and not at replay: what stands, stands.
    ///
    /// # Errors
    /// Such a name, such a key.
    pub fn check_looks(&self, event: &DirectoryEvent) -> Result<(), Malformed> {
        if let DirectoryEvent::KeyEnrolled { person, key } = event {
            let others = self.people.values().filter(|known| known.id != *person);
            let taken = others.flat_map(|known| &known.keys).any(|known| known.public_key == key.public_key);
            return free(!taken, "passkey", &key.label);
        }
        let (DirectoryEvent::PersonAdded { name, .. } | DirectoryEvent::AgentAdded { name, .. }) = event
        else {
            return Ok(());
        };
        let people = self.people.values().filter(|person| person.active).map(|person| &person.name);
        let agents = self.agents.values().filter(|agent| agent.active).map(|agent| &agent.name);
        if people.chain(agents).any(|known| crate::text::looks_like(name, known)) {
            let why = "it looks like the name of another person or agent; choose one that cannot be taken for theirs";
            return Err(Malformed::value("name", name, why));
        }
        Ok(())
    }

    /// Whether the change makes sense on what stands; applies nothing.
    ///
    /// # Errors
    /// As [`Directory::apply`].
    pub fn check(&self, event: &DirectoryEvent) -> Result<(), Malformed> {
        match event {
            DirectoryEvent::PersonAdded { id, name } => {
                display_name("person name", name)?;
                let taken = self.people.values().any(|person| person.active && person.name == *name);
                free(!taken && !self.people.contains_key(id), "person name", name)
            }
            DirectoryEvent::PersonDeactivated { id } => {
                self.active_person(*id)?;
                self.keeps_an_admin(*id)
            }
            DirectoryEvent::KeyEnrolled { person, key } => {
                display_name("key label", &key.label)?;
                free(!self.is_enrolled(&key.credential_id), "passkey", &key.label)?;
                self.has_room_for_a_key(*person, &key.label)
            }
            DirectoryEvent::SshKeyEnrolled { person, key } => {
                display_name("key label", &key.label)?;
                size_limit("the SSH public key", key.public_key.0.len(), SSH_KEY_LIMIT_BYTES)?;
                free(!self.is_enrolled(&key.id()), "SSH key", &key.label)?;
                self.has_room_for_a_key(*person, &key.label)
            }
            DirectoryEvent::KeyRevoked { person, credential_id } => {
                let found = self.active_person(*person)?;
                if found.ssh_keys.iter().any(|key| key.id() == *credential_id) {
                    return Ok(());
                }
                let enrolled = found.keys.iter().any(|key| key.credential_id == *credential_id);
                known(enrolled, "key", &found.name)?;
                // An administrator without a passkey is none.
                if found.keys.len() > 1 { Ok(()) } else { self.keeps_an_admin(*person) }
            }
            DirectoryEvent::AccountLinked { person, account } => {
                let found = self.active_person(*person)?;
                // One account is one human's: two could not be told apart behind it.
                free(self.person_of(account).is_none(), "account", &account.to_string())?;
                free(found.accounts.len() < ACCOUNTS_LIMIT, "seventeenth account", &account.to_string())
            }
            DirectoryEvent::AccountUnlinked { person, account } => {
                let found = self.active_person(*person)?;
                known(found.accounts.contains(account), "account", &account.to_string())
            }
            DirectoryEvent::GroupJoined { person, .. } => self.active_person(*person).map(|_| ()),
            DirectoryEvent::GroupLeft { group, person } => {
                let found = self.active_person(*person)?;
                known(found.groups.contains(group), "member", &found.name)?;
                if group.as_str() == GroupName::ADMINS { self.keeps_an_admin(*person) } else { Ok(()) }
            }
            DirectoryEvent::AgentAdded { id, name, sponsor, key } => {
                self.active_person(*sponsor)?;
                display_name("agent name", name)?;
                agent_key(key)?;
                let taken = self.agents.values().any(|agent| agent.active && agent.name == *name);
                free(!taken && !self.agents.contains_key(id), "agent name", name)
            }
            DirectoryEvent::AgentKeyReplaced { id, key } => {
                agent_key(key)?;
                self.active_agent(*id).map(|_| ())
            }
            DirectoryEvent::AgentSponsorChanged { id, sponsor } => {
                self.active_person(*sponsor)?;
                self.active_agent(*id).map(|_| ())
            }
            DirectoryEvent::AgentDisabled { id } => self.active_agent(*id).map(|_| ()),
            DirectoryEvent::RouteSet { document, .. } => document_limit("the route's document", document),
            DirectoryEvent::RouteRemoved { name } => {
                known(self.routes.contains_key(name), "route", name.as_str())
            }
            DirectoryEvent::PolicyApplied { text } => document_limit("the policy set", text),
        }
    }

    /// How many changes stand behind this directory.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A human, active or not.
    #[must_use]
    pub fn person(&self, id: PersonId) -> Option<&Person> {
        self.people.get(&id)
    }

    /// All humans, active or not, by id.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// The humans who may do something.
    pub fn active_people(&self) -> impl Iterator<Item = &Person> {
        self.people.values().filter(|person| person.active)
    }

    /// An agent, active or not.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<&Agent> {
        self.agents.get(&id)
    }

    /// All agents, active or not, by id.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values()
    }

    /// A route's document.
    #[must_use]
    pub fn route(&self, name: &TargetName) -> Option<&RouteDocument> {
        self.routes.get(name)
    }

    /// All routes, by name.
    pub fn routes(&self) -> impl Iterator<Item = (&TargetName, &RouteDocument)> {
        self.routes.iter()
    }

    /// The policy set that decides; none before the first was applied, and then everything is denied.
    #[must_use]
    pub fn policy(&self) -> Option<&PolicyDocument> {
        self.policy.as_ref()
    }

    /// The active members of a group.
    pub fn members(&self, group: &GroupName) -> impl Iterator<Item = &Person> {
        let group = group.clone();
        self.active_people().filter(move |person| person.groups.contains(&group))
    }

    /// The groups that have members.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<GroupName> {
        self.active_people().flat_map(|person| person.groups.iter().cloned()).collect()
    }

    /// Whose key this is, and the key.
    #[must_use]
    pub fn key(&self, credential_id: &Blob) -> Option<(&Person, &Passkey)> {
        self.active_people().find_map(|person| {
            let key = person.keys.iter().find(|key| key.credential_id == *credential_id)?;
            Some((person, key))
        })
    }

    /// Whose SSH key this is, by its [`SshKey::id`], and the key.
    #[must_use]
    pub fn ssh_key(&self, id: &Blob) -> Option<(&Person, &SshKey)> {
        self.active_people().find_map(|person| {
            let key = person.ssh_keys.iter().find(|key| key.id() == *id)?;
            Some((person, key))
        })
    }

    /// For whom an account elsewhere stands.
    #[must_use]
    pub fn person_of(&self, account: &ExternalAccount) -> Option<&Person> {
        self.active_people().find(|person| person.accounts.contains(account))
    }

    /// Whether one person is all there is: solo evaluation.
    #[must_use]
    pub fn is_solo(&self) -> bool {
        self.active_people().filter(|person| !person.keys.is_empty()).take(2).count() < 2
    }

    /// Whether nobody administers the deployment yet.
    #[must_use]
    pub fn is_bootstrapping(&self) -> bool {
        !self.members(&GroupName::admins()).any(|person| !person.keys.is_empty())
    }

    /// Whether a key of either kind stands under this id, for anybody.
    fn is_enrolled(&self, id: &Blob) -> bool {
        self.people.values().any(|person| {
            person.keys.iter().any(|key| key.credential_id == *id)
                || person.ssh_keys.iter().any(|key| key.id() == *id)
        })
    }

    fn has_room_for_a_key(&self, person: PersonId, label: &str) -> Result<(), Malformed> {
        let person = self.active_person(person)?;
        free(person.keys.len() + person.ssh_keys.len() < KEYS_LIMIT, "seventeenth key", label)
    }

    fn with_person(&mut self, id: PersonId, change: impl FnOnce(&mut Person)) {
        if let Some(person) = self.people.get_mut(&id) {
            change(person);
        }
    }

    fn with_agent(&mut self, id: AgentId, change: impl FnOnce(&mut Agent)) {
        if let Some(agent) = self.agents.get_mut(&id) {
            change(agent);
        }
    }

    fn active_person(&self, id: PersonId) -> Result<&Person, Malformed> {
        self.people.get(&id).filter(|person| person.active).ok_or_else(|| {
            Malformed::value("person", &id.to_string(), "somebody who is known and active is expected")
        })
    }

    fn active_agent(&self, id: AgentId) -> Result<&Agent, Malformed> {
        self.agents.get(&id).filter(|agent| agent.active).ok_or_else(|| {
            Malformed::value("agent", &id.to_string(), "an agent that is known and active is expected")
        })
    }

    fn keeps_an_admin(&self, leaving: PersonId) -> Result<(), Malformed> {
        let admins = GroupName::admins();
        let leaves = self.people.get(&leaving).is_some_and(|person| person.groups.contains(&admins));
        let another = self.members(&admins).any(|person| person.id != leaving && !person.keys.is_empty());
        if leaves && !another {
            return Err(Malformed::value("departure", &leaving.to_string(), "the last administrator stays"));
        }
        Ok(())
    }
}

impl DirectoryEvent {
    /// What the change is about, as log entries name it.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::PersonAdded { id, .. } | Self::PersonDeactivated { id } => {
                Principal::Person(*id).to_string()
            }
            Self::KeyEnrolled { person, .. }
            | Self::SshKeyEnrolled { person, .. }
            | Self::KeyRevoked { person, .. }
            | Self::AccountLinked { person, .. }
            | Self::AccountUnlinked { person, .. }
            | Self::GroupJoined { person, .. }
            | Self::GroupLeft { person, .. } => Principal::Person(*person).to_string(),
            Self::AgentAdded { id, .. }
            | Self::AgentKeyReplaced { id, .. }
            | Self::AgentSponsorChanged { id, .. }
            | Self::AgentDisabled { id } => Principal::Agent(*id).to_string(),
            Self::RouteSet { name, .. } | Self::RouteRemoved { name } => format!("route:{name}"),
            Self::PolicyApplied { .. } => "policy".to_owned(),
        }
    }

    /// The verb under which the change is asked for and reviewed.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::PersonAdded { .. }
            | Self::PersonDeactivated { .. }
            | Self::AccountLinked { .. }
            | Self::AccountUnlinked { .. } => "config.person",
            Self::KeyEnrolled { .. } | Self::SshKeyEnrolled { .. } | Self::KeyRevoked { .. } => KEY_VERB,
            Self::GroupJoined { .. } | Self::GroupLeft { .. } => GROUP_VERB,
            Self::AgentAdded { .. }
            | Self::AgentKeyReplaced { .. }
            | Self::AgentSponsorChanged { .. }
            | Self::AgentDisabled { .. } => "config.agent",
            Self::RouteSet { .. } | Self::RouteRemoved { .. } => "config.route",
            Self::PolicyApplied { .. } => "config.policy",
        }
    }
}

fn display_name(what: &'static str, name: &str) -> Result<(), Malformed> {
    let plain =
        !name.trim().is_empty() && name.len() <= DISPLAY_NAME_LIMIT_BYTES && crate::text::is_plain(name);
    if plain {
        return Ok(());
    }
    Err(Malformed::value(
        what,
        name,
        "1 to 128 bytes without control, invisible or direction-changing characters",
    ))
}

fn agent_key(key: &Blob) -> Result<(), Malformed> {
    known(key.0.len() == 32, "Ed25519 public key of 32 bytes", "agent key")
}

fn document_limit(what: &'static str, text: &str) -> Result<(), Malformed> {
    size_limit(what, text.len(), DOCUMENT_LIMIT_BYTES)
}

fn size_limit(what: &'static str, actual: usize, limit: usize) -> Result<(), Malformed> {
    if actual > limit {
        return Err(Malformed::TooLarge { what, actual, limit, unit: "bytes" });
    }
    Ok(())
}

fn known(found: bool, what: &'static str, value: &str) -> Result<(), Malformed> {
    if found { Ok(()) } else { Err(Malformed::value(what, value, "one that is known is expected")) }
}

fn free(free: bool, what: &'static str, value: &str) -> Result<(), Malformed> {
    if free { Ok(()) } else { Err(Malformed::value(what, value, "one that is not taken is expected")) }
}

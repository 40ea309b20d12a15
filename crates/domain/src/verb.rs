//! One vocabulary of verbs, used by every enforcement point and by every policy.
//!
//! A verb such as `http.delete` stands below one or more groups; Cedar sees it as
//! `Action::"http.delete"` in `Action::"destroy"`. The table is additive: a verb never changes its
//! groups, since a policy's meaning would change with it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Malformed;

/// What kind of effect a verb has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerbGroup {
    /// Looks and changes nothing.
    Read,
    /// Makes or changes something that can be changed back.
    Write,
    /// Removes something.
    Destroy,
    /// Changes who may do what, or how the target itself behaves.
    Admin,
    /// Runs code whose effect we do not know.
    Exec,
    /// Takes data out in bulk.
    Export,
}

impl VerbGroup {
    /// All groups, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Write, Self::Destroy, Self::Admin, Self::Exec, Self::Export];

    /// The group's Cedar id.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destroy => "destroy",
            Self::Admin => "admin",
            Self::Exec => "exec",
            Self::Export => "export",
        }
    }
}

/// Every verb with its group and what it means. `docs/verbs.md` is printed from here.
pub const VOCABULARY: &[(&str, VerbGroup, &str)] = &[
    ("http.get", VerbGroup::Read, "GET"),
    ("http.head", VerbGroup::Read, "HEAD"),
    ("http.options", VerbGroup::Read, "OPTIONS"),
    ("http.post", VerbGroup::Write, "POST whose effect no route names"),
    ("http.put", VerbGroup::Write, "PUT"),
    ("http.patch", VerbGroup::Write, "PATCH"),
    ("http.delete", VerbGroup::Destroy, "DELETE"),
    ("http.read", VerbGroup::Read, "a route's operation that only reads, whatever its method"),
    ("http.write", VerbGroup::Write, "a route's operation that writes"),
    ("http.destroy", VerbGroup::Destroy, "a route's operation that removes"),
    ("http.admin", VerbGroup::Admin, "a route's operation that administers"),
    ("http.exec", VerbGroup::Exec, "a route's operation that runs code"),
    ("http.export", VerbGroup::Export, "a route's operation that takes data out in bulk"),
    ("http.upgrade", VerbGroup::Exec, "an upgrade to another protocol"),
    ("http.other", VerbGroup::Exec, "any other method"),
    ("sql.select", VerbGroup::Read, "a query that only reads"),
    ("sql.transaction", VerbGroup::Read, "BEGIN, COMMIT, ROLLBACK and savepoints"),
    ("sql.set", VerbGroup::Read, "SET, RESET and SHOW of a setting that changes neither meaning nor rights"),
    ("sql.listen", VerbGroup::Read, "LISTEN and UNLISTEN"),
    ("sql.insert", VerbGroup::Write, "INSERT"),
    ("sql.update", VerbGroup::Write, "UPDATE"),
    ("sql.merge", VerbGroup::Write, "MERGE"),
    ("sql.import", VerbGroup::Write, "COPY in"),
    ("sql.lock", VerbGroup::Write, "LOCK, SELECT FOR UPDATE and their like"),
    ("sql.notify", VerbGroup::Write, "NOTIFY"),
    ("sql.delete", VerbGroup::Destroy, "DELETE"),
    ("sql.truncate", VerbGroup::Destroy, "TRUNCATE"),
    ("sql.drop", VerbGroup::Destroy, "DROP"),
    ("sql.define", VerbGroup::Admin, "CREATE and ALTER"),
    ("sql.grant", VerbGroup::Admin, "GRANT, REVOKE, roles"),
    ("sql.session", VerbGroup::Admin, "SET ROLE, set_config and their like"),
    ("sql.maintain", VerbGroup::Admin, "VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT, REFRESH"),
    (
        "sql.system",
        VerbGroup::Admin,
        "ALTER SYSTEM, LOAD, extensions, databases, publications, other servers",
    ),
    ("sql.call", VerbGroup::Exec, "CALL, DO, functions outside the allow-list"),
    ("sql.program", VerbGroup::Exec, "COPY to or from a program or a file of the server"),
    ("sql.export", VerbGroup::Export, "COPY out"),
    ("sql.opaque", VerbGroup::Exec, "a statement that was not understood in full"),
    ("mcp.list", VerbGroup::Read, "listing tools, prompts and resources"),
    ("mcp.read", VerbGroup::Read, "reading a resource"),
    ("mcp.call", VerbGroup::Exec, "calling a tool"),
    ("exec.run", VerbGroup::Exec, "running a program"),
    ("k8s.read", VerbGroup::Read, "get, list and watch"),
    ("k8s.write", VerbGroup::Write, "create, update and patch"),
    ("k8s.delete", VerbGroup::Destroy, "delete and deletecollection"),
    ("k8s.admin", VerbGroup::Admin, "escalate, bind, impersonate, tokens"),
    ("k8s.exec", VerbGroup::Exec, "exec, attach, ephemeral containers, proxy"),
    ("model.call", VerbGroup::Read, "a call of a model"),
    ("config.person", VerbGroup::Admin, "adding or deactivating a person"),
    ("config.key", VerbGroup::Admin, "revoking a person's key"),
    ("config.group", VerbGroup::Admin, "changing who is in a group"),
    ("config.agent", VerbGroup::Admin, "adding or disabling an agent, or changing its sponsor or key"),
    ("config.route", VerbGroup::Admin, "setting or removing a route"),
    ("config.policy", VerbGroup::Admin, "applying a policy set"),
    ("action.read", VerbGroup::Read, "an action asked through the API whose caller reports that it reads"),
    ("action.write", VerbGroup::Write, "an action asked through the API that writes"),
    ("action.destroy", VerbGroup::Destroy, "an action asked through the API that removes"),
    ("action.admin", VerbGroup::Admin, "an action asked through the API that administers"),
    ("action.exec", VerbGroup::Exec, "an action asked through the API that runs code"),
    ("action.export", VerbGroup::Export, "an action asked through the API that takes data out"),
];

/// A verb of the [`VOCABULARY`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Verb {
    name: &'static str,
    group: VerbGroup,
}

impl Verb {
    /// The verb's name, such as `http.delete`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// The group it stands in.
    #[must_use]
    pub fn group(self) -> VerbGroup {
        self.group
    }

    /// Whether the verb only reads.
    #[must_use]
    pub fn is_read(self) -> bool {
        self.group == VerbGroup::Read
    }

    /// The HTTP verb of a method; methods that HTTP does not define are `http.other`.
    #[must_use]
    pub fn of_method(method: &str) -> Self {
        let name = match method {
            "GET" => "http.get",
            "HEAD" => "http.head",
            "OPTIONS" => "http.options",
            "POST" => "http.post",
            "PUT" => "http.put",
            "PATCH" => "http.patch",
            "DELETE" => "http.delete",
            _ => "http.other",
        };
        // Where the table lost one of these names, the strictest reading is right.
        Self::find(name).unwrap_or(Self { name: "http.other", group: VerbGroup::Exec })
    }

    fn find(text: &str) -> Option<Self> {
        let (name, group, _) = VOCABULARY.iter().find(|(name, ..)| *name == text)?;
        Some(Self { name, group: *group })
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verb({})", self.name)
    }
}

impl FromStr for Verb {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::find(text).ok_or_else(|| {
            Malformed::value("verb", text, "a verb of the vocabulary (docs/verbs.md) is expected")
        })
    }
}

impl<'de> Deserialize<'de> for Verb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl From<Verb> for String {
    fn from(verb: Verb) -> String {
        verb.name.to_owned()
    }
}

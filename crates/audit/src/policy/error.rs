//! What is wrong with a policy file, and where.

use crate::Error;

use super::{
    MAX_POLICY_BYTES, MAX_POLICY_GROUPS, MAX_POLICY_LOGS, MAX_POLICY_NAME_BYTES, MAX_POLICY_URL_BYTES,
    MAX_POLICY_WITNESSES, PolicyText,
};

/// Why a policy file was refused. Nothing of it is used then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {problem}")]
pub struct PolicyError {
    /// The line, from one; for what the whole file lacks, its last.
    pub line: usize,
    /// What is wrong there.
    pub problem: PolicyProblem,
}

/// What is wrong with a policy's line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// Longer than is read.
    #[error("the file has more than {MAX_POLICY_BYTES} bytes")]
    FileTooLong,
    /// A control character other than tab and newline, a carriage return for example.
    #[error(
        "byte {0:#04x} is not allowed; lines end in a newline alone, items are set apart by spaces and tabs"
    )]
    Control(u8),
    /// The file ends within a line.
    #[error("the last line does not end in a newline; the file may have been cut short")]
    NoNewline,
    /// The first word is none that the format has.
    #[error("`{0}` is no keyword; there are `log`, `witness`, `group` and `quorum`")]
    Keyword(PolicyText),
    /// Too few or too many words.
    #[error("expected `{0}`")]
    Shape(&'static str),
    /// A verifier key that cannot be read, or of the wrong type.
    #[error(transparent)]
    Key(Error),
    /// The same public key on two lines of one kind.
    #[error("its key stands on an earlier line too; list each once")]
    DuplicateKey,
    /// Two keys that a signature line could not tell apart.
    #[error("an earlier key has the same name and key id; signatures could not be told apart")]
    AmbiguousKey,
    /// A name that is defined already, or is `none`.
    #[error("the name `{0}` is taken; witnesses and groups share one set of names, and `none` is predefined")]
    NameTaken(PolicyText),
    /// A name over its limit.
    #[error("the name has more than {MAX_POLICY_NAME_BYTES} bytes")]
    NameTooLong,
    /// A URL over its limit.
    #[error("the URL has more than {MAX_POLICY_URL_BYTES} bytes")]
    UrlTooLong,
    /// A name that no earlier line defines.
    #[error("`{0}` is not defined on an earlier line")]
    Undefined(PolicyText),
    /// `none` as a member of a group.
    #[error("`none` cannot be a member of a group")]
    NoneAsMember,
    /// A name that is a member already.
    #[error("`{0}` is a member of a group already; each witness counts in one way only")]
    MemberTwice(PolicyText),
    /// A threshold that is no decimal from one to the number of members.
    #[error("the threshold `{given}` is not `any`, `all`, or a decimal from 1 to {members}")]
    Threshold {
        /// What the line says.
        given: PolicyText,
        /// How many members the line lists.
        members: usize,
    },
    /// A second quorum line.
    #[error("there is a quorum line already")]
    SecondQuorum,
    /// No quorum line.
    #[error("the file has no quorum line; write `quorum none` to ask for no witness")]
    NoQuorum,
    /// Too many logs.
    #[error("more than {MAX_POLICY_LOGS} logs")]
    TooManyLogs,
    /// Too many witnesses.
    #[error("more than {MAX_POLICY_WITNESSES} witnesses")]
    TooManyWitnesses,
    /// Too many groups.
    #[error("more than {MAX_POLICY_GROUPS} groups")]
    TooManyGroups,
}

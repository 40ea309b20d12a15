//! Names that tell what stands beside them: of fields, headers, variables, options.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::class::Class;

/// What a name tells of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// A password or a secret: any value.
    Strong,
    /// A token or a key: a value that looks like one.
    Weak,
    /// A key of any kind: a value that cannot be anything but drawn at random.
    Faint,
    /// A header that carries credentials: any value at all.
    Credentials,
    /// A short number: a card's security code, a PIN.
    Code(Class),
    /// A person's number: any value with enough digits.
    Number(Class),
}

/// What the name of a field, header or variable tells. `userPassword`, `DB_PASSWORD` and `x-db-password` are one.
pub(crate) fn telling(name: &[u8]) -> Option<Telling> {
    if name.is_empty() || name.len() > crate::limits::NAME_LIMIT_BYTES || !STEMS.is_match(name) {
        return None;
    }
    let words = words(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let whole = words.concat();
    match whole.as_str() {
        "authorization" | "proxyauthorization" | "cookie" | "setcookie" => return Some(Telling::Credentials),
        "secretid" | "sig" | "signature" | "sid" | "jsessionid" | "phpsessid" | "sessid" | "auth" => {
            return Some(Telling::Weak);
        }
        "key" | "xkey" | "keys" | "thekey" | "mykey" => return Some(Telling::Faint),
        "pass" | "pw" | "pgpassword" => return Some(Telling::Strong),
        _ => {}
    }
    words.iter().enumerate().rev().find_map(|(place, word)| {
        let (earlier, later) = (words.get(..place)?, words.get(place + 1..)?);
        let previous = earlier.last().copied().unwrap_or_default();
        let told = told_by(previous, word, later.first().copied().unwrap_or_default(), later.is_empty())?;
        let excluded = later.iter().any(|word| METADATA.contains(word)) || OPAQUE.contains(&previous);
        (!excluded || matches!(told, Telling::Code(_) | Telling::Number(_))).then_some(told)
    })
}

fn told_by(previous: &str, word: &str, next: &str, last: bool) -> Option<Telling> {
    const PASSWORDS: &[&str] = &[
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "passwort",
        "kennwort",
        "senha",
        "contrasena",
        "wachtwoord",
        "credential",
        "credentials",
        "passcode",
        "passwords",
        "secrets",
    ];
    const KEYS: &[&str] = &[
        "api",
        "access",
        "private",
        "secret",
        "encryption",
        "signing",
        "master",
        "account",
        "shared",
        "service",
        "auth",
        "client",
        "license",
        "subscription",
        "storage",
        "app",
        "application",
        "webhook",
        "deploy",
        "session",
        "ssh",
        "hmac",
        "jwt",
        "cipher",
        "crypt",
    ];
    const CODES: &[&str] = &["cvv", "cvc", "cvv2", "cvc2", "csc"];
    if PASSWORDS.iter().any(|known| word.ends_with(known)) || (word == "pass" && last && !previous.is_empty())
    {
        return Some(Telling::Strong);
    }
    if CODES.contains(&word) || (matches!(previous, "security" | "card") && word == "code" && last) {
        return Some(Telling::Code(Class::Card));
    }
    if matches!(word, "pin" | "otp" | "totp") && (last || next == "code") {
        return Some(Telling::Code(Class::Secret));
    }
    if word == "ssn" || (previous == "social" && word == "security") {
        return Some(Telling::Number(Class::NationalId));
    }
    if word == "number" && previous == "card" {
        return Some(Telling::Number(Class::Card));
    }
    let is_key = word == "key" && KEYS.contains(&previous)
        || ["apikey", "accesskey", "accountkey", "privatekey", "secretkey", "authkey"]
            .iter()
            .any(|known| word.ends_with(known));
    let is_session = word == "sessionid" || (previous == "session" && word == "id");
    (word.ends_with("token") || is_key || is_session || (word == "auth" && last)).then_some(Telling::Weak)
}

/// Words behind a secret's name that make it a name of something else.
const METADATA: &[&str] = &[
    "name",
    "names",
    "id",
    "ids",
    "count",
    "type",
    "kind",
    "url",
    "uri",
    "path",
    "file",
    "filename",
    "expires",
    "expiry",
    "expiration",
    "at",
    "date",
    "time",
    "age",
    "length",
    "len",
    "size",
    "min",
    "max",
    "policy",
    "arn",
    "version",
    "hint",
    "reset",
    "field",
    "label",
    "title",
    "ttl",
    "limit",
    "limits",
    "enabled",
    "required",
    "status",
    "provider",
    "format",
    "rotation",
    "manager",
    "store",
    "engine",
    "ref",
    "reference",
    "endpoint",
    "usage",
    "strength",
    "help",
    "page",
    "form",
    "input",
    "error",
    "message",
    "class",
    "regex",
    "pattern",
    "rule",
    "rules",
    "column",
    "index",
    "lifetime",
    "seconds",
    "days",
    "scope",
    "scopes",
    "issuer",
    "audience",
    "prefix",
    "suffix",
    "changed",
    "updated",
    "created",
    "last",
];

/// Words before `token` or `key` that make it no credential.
const OPAQUE: &[&str] = &[
    "max",
    "min",
    "num",
    "total",
    "next",
    "page",
    "prompt",
    "completion",
    "continuation",
    "cancellation",
    "stop",
    "eos",
    "bos",
    "pad",
    "public",
    "primary",
    "foreign",
    "sort",
    "partition",
    "idempotency",
];

/// The words of a name, in lower case: split at what is no letter or digit, and where a capital follows a small
/// letter.
fn words(name: &[u8]) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut last = 0u8;
    for byte in name {
        let starts = byte.is_ascii_uppercase() && last.is_ascii_lowercase();
        if (!byte.is_ascii_alphanumeric() || starts) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if byte.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
        last = *byte;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A name without case, `-`, `_` and `.`, as rules compare it.
pub(crate) fn plain(name: &[u8]) -> Vec<u8> {
    name.iter()
        .filter(|byte| !matches!(byte, b'-' | b'_' | b'.' | b' '))
        .map(u8::to_ascii_lowercase)
        .collect()
}

/// What a word in running text says of what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Part of a name that may tell of a secret.
    Stem,
    /// A number behind it may be a telephone's.
    Phone,
    /// A number behind it may be a person's.
    Identity,
    /// `Bearer`, and what follows is a token.
    Bearer,
    /// `Basic`, and what follows is base64 of name and password.
    Basic,
    /// `curl` and its like: `-u name:password` may follow.
    Curl,
    /// `mysql` and its like: `-ppassword` may follow.
    Mysql,
}

/// Stems that every telling name holds, whatever its case.
const STEM_WORDS: &[&str] = &[
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "pass",
    "pw",
    "secret",
    "token",
    "key",
    "auth",
    "credential",
    "cookie",
    "sig",
    "sid",
    "sess",
    "cvv",
    "cvc",
    "csc",
    "code",
    "pin",
    "otp",
    "ssn",
    "social",
    "kennwort",
    "senha",
    "contrasena",
    "wachtwoord",
    "card",
];

const OTHER_WORDS: &[(&str, Word)] = &[
    ("bearer ", Word::Bearer),
    ("basic ", Word::Basic),
    ("curl ", Word::Curl),
    ("mysql", Word::Mysql),
    ("mariadb", Word::Mysql),
    ("phone", Word::Phone),
    ("mobile", Word::Phone),
    ("mobil", Word::Phone),
    ("tel:", Word::Phone),
    ("tel", Word::Phone),
    ("fax", Word::Phone),
    ("cell", Word::Phone),
    ("msisdn", Word::Phone),
    ("whatsapp", Word::Phone),
    ("call", Word::Phone),
    ("sms", Word::Phone),
    ("handy", Word::Phone),
    ("movil", Word::Phone),
    ("telefon", Word::Phone),
    ("ssn", Word::Identity),
    ("social security", Word::Identity),
    ("social_security", Word::Identity),
    ("national_id", Word::Identity),
    ("national id", Word::Identity),
    ("nationalid", Word::Identity),
    ("national insurance", Word::Identity),
    ("nino", Word::Identity),
    ("tax_id", Word::Identity),
    ("tax id", Word::Identity),
    ("taxid", Word::Identity),
    ("tax number", Word::Identity),
    ("tin", Word::Identity),
    ("sin", Word::Identity),
    ("tfn", Word::Identity),
    ("pesel", Word::Identity),
    ("bsn", Word::Identity),
    ("burgerservicenummer", Word::Identity),
    ("cpf", Word::Identity),
    ("aadhaar", Word::Identity),
    ("aadhar", Word::Identity),
    ("steuer", Word::Identity),
    ("idnr", Word::Identity),
    ("personnummer", Word::Identity),
    ("fodselsnummer", Word::Identity),
    ("cpr", Word::Identity),
    ("dni", Word::Identity),
    ("nie", Word::Identity),
    ("nif", Word::Identity),
    ("rijksregister", Word::Identity),
    ("niss", Word::Identity),
    ("insz", Word::Identity),
    ("tckn", Word::Identity),
    ("kimlik", Word::Identity),
    ("oib", Word::Identity),
    ("egn", Word::Identity),
    ("svnr", Word::Identity),
    ("cnp", Word::Identity),
    ("pps", Word::Identity),
    ("my number", Word::Identity),
    ("mynumber", Word::Identity),
    ("nhs", Word::Identity),
    ("nir", Word::Identity),
    ("insee", Word::Identity),
    ("rodne", Word::Identity),
    ("birth number", Word::Identity),
    ("identity_number", Word::Identity),
    ("identity number", Word::Identity),
    ("id_number", Word::Identity),
    ("id number", Word::Identity),
    ("id card", Word::Identity),
    ("cedula", Word::Identity),
    ("teudat", Word::Identity),
];

static STEMS: LazyLock<Automaton> = LazyLock::new(|| automaton(STEM_WORDS.iter().copied()));

static WORDS: LazyLock<Automaton> =
    LazyLock::new(|| automaton(STEM_WORDS.iter().copied().chain(OTHER_WORDS.iter().map(|(word, _)| *word))));

/// A word found in running text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) word: Word,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Every word in a text that says something of what follows it, in order.
pub(crate) fn found(text: &[u8]) -> impl Iterator<Item = Found> {
    WORDS.find_iter(text).map(|(which, start, end)| {
        let other = which.checked_sub(STEM_WORDS.len()).and_then(|other| OTHER_WORDS.get(other));
        Found { word: other.map_or(Word::Stem, |(_, word)| *word), start, end }
    })
}

/// An automaton, or none where it could not be built: our own words are known to build, and a test says so.
struct Automaton(Option<AhoCorasick>);

impl Automaton {
    fn is_match(&self, text: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|automaton| automaton.is_match(text))
    }

    fn find_iter<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = (usize, usize, usize)> + 't {
        let found = self.0.iter().flat_map(move |automaton| automaton.find_iter(text));
        found.map(|found| (found.pattern().as_usize(), found.start(), found.end()))
    }
}

fn automaton(words: impl Iterator<Item = &'static str>) -> Automaton {
    let built = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .build(words);
    Automaton(built.ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_automata_build() {
        assert!(STEMS.0.is_some() && WORDS.0.is_some());
    }

    #[test]
    fn names_tell_whatever_their_spelling() {
        let strong = [
            "password",
            "userPassword",
            "DB_PASSWORD",
            "x-db-password",
            "client_secret",
            "pgpassword",
            "spring.datasource.password",
            "db_pass",
            "SecretAccessKey",
            "secrets.db.passwd",
            "password_hash",
        ];
        for name in strong {
            assert!(
                matches!(telling(name.as_bytes()), Some(Telling::Strong | Telling::Weak)),
                "{name}: {:?}",
                telling(name.as_bytes())
            );
        }
        for name in
            ["token", "accessToken", "X-Api-Key", "apikey", "session_id", "AccountKey", "github_token"]
        {
            assert_eq!(telling(name.as_bytes()), Some(Telling::Weak), "{name}");
        }
        for name in ["key", "KEY", "X-Key"] {
            assert_eq!(telling(name.as_bytes()), Some(Telling::Faint), "{name}");
        }
        assert_eq!(telling(b"Authorization"), Some(Telling::Credentials));
        assert_eq!(telling(b"card_cvv"), Some(Telling::Code(Class::Card)));
        let none = [
            "max_tokens",
            "token_count",
            "token_type",
            "secret_name",
            "password_policy",
            "next_token",
            "public_key",
            "author",
            "authority",
            "keyboard",
            "compass",
            "passenger",
            "primary_key",
            "cache_key",
            "password_reset",
            "tokenizer",
            "design",
            "spinning",
        ];
        for name in none {
            assert_eq!(telling(name.as_bytes()), None, "{name}");
        }
    }
}

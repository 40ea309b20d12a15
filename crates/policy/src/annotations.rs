//! Annotations, read strictly: Cedar's schema does not cover them, and `@holdd("dba:1")` would be a rule
//! without a hold. An unknown key, a malformed value, or a key where it means nothing stops the load.

use domain::id::{GroupName, RuleId};
use domain::requirement::{Assurance, QUORUM_LIMIT, Quorum};
use domain::time::Span;

use crate::rule::{
    ALTERNATIVES_LIMIT, BUILTIN_PREFIX, DEFAULT_ASSURANCE, DEFAULT_GRANT, DEFAULT_TTL, Effect, Escalation,
    NOTIFY_LIMIT_BYTES, RESERVED, Rule, Terms, WHY_LIMIT_BYTES,
};

/// What is wrong with one annotation, and what to do.
pub(crate) type Fault = (String, String);

/// Keys that stand on any rule.
const GENERAL: &[&str] = &["id", "why"];
/// Keys that stand on forbids.
const FORBIDS: &[&str] = &["hold", "mode"];
/// Keys that stand beside `@hold`.
const BESIDE_HOLD: &[&str] = &["break_glass", "ttl", "grant", "assurance", "reason", "notify", "escalate"];

/// A rule's annotations by key, as Cedar read them (Cedar refuses a key that stands twice).
pub(crate) struct Annotations<'a> {
    pub(crate) pairs: Vec<(&'a str, &'a str)>,
    pub(crate) is_permit: bool,
}

impl Annotations<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    /// The rule that these annotations make, or everything that is wrong with them.
    pub(crate) fn rule(&self, line: Option<usize>) -> Result<Rule, Vec<Fault>> {
        let mut faults = self.misplaced();
        let mut keep = |fault: Fault| faults.push(fault);
        let id = self.id(line.is_none()).map_err(&mut keep).ok();
        let why = self.why().map_err(&mut keep).ok();
        let shadow = self.shadow().map_err(&mut keep).ok();
        let effect = match (self.is_permit, self.get("hold")) {
            (true, _) => Some(Effect::Permit),
            (false, None) => Some(Effect::Forbid),
            (false, Some(hold)) => {
                self.terms(hold, line.is_none()).map(Effect::Hold).map_err(|found| faults.extend(found)).ok()
            }
        };
        match (id, why, shadow, effect) {
            (Some(id), Some(why), Some(shadow), Some(effect)) if faults.is_empty() => {
                let why = why.unwrap_or_else(|| match effect {
                    Effect::Permit => format!("permitted by `{id}`"),
                    Effect::Forbid => format!("forbidden by `{id}`"),
                    Effect::Hold(_) => format!("held by `{id}`"),
                });
                Ok(Rule { id, why, effect, shadow, line })
            }
            _ => Err(faults),
        }
    }

    fn misplaced(&self) -> Vec<Fault> {
        let holds = self.get("hold").is_some();
        let mut faults = Vec::new();
        for (key, _) in &self.pairs {
            if GENERAL.contains(key) {
                continue;
            }
            let on_forbids = FORBIDS.contains(key);
            if !on_forbids && !BESIDE_HOLD.contains(key) {
                faults.push((format!("unknown annotation `@{key}`"), suggestion(key)));
            } else if self.is_permit {
                faults.push((
                    format!("`@{key}` stands on a permit"),
                    "put it on a forbid: a stock engine that forgets our annotations must deny".to_owned(),
                ));
            } else if !on_forbids && !holds {
                faults.push((
                    format!("`@{key}` means nothing without `@hold`"),
                    "add `@hold(\"group:1\")` or remove it".to_owned(),
                ));
            }
        }
        faults
    }

    fn id(&self, builtin: bool) -> Result<RuleId, Fault> {
        let Some(text) = self.get("id") else {
            return Err((
                "the rule has no `@id`".to_owned(),
                "add `@id(\"a-name\")`; it is logged wherever the rule decides".to_owned(),
            ));
        };
        let id = text.parse::<RuleId>().map_err(|error| malformed("id", &error.to_string()))?;
        if RESERVED.contains(&text) {
            return Err((format!("the id `{text}` is ours to give"), "choose another".to_owned()));
        }
        if !builtin && text.starts_with(BUILTIN_PREFIX) {
            return Err((
                format!("ids that begin with `{BUILTIN_PREFIX}` name built-in rules"),
                "choose another".to_owned(),
            ));
        }
        Ok(id)
    }

    fn why(&self) -> Result<Option<String>, Fault> {
        match self.get("why") {
            None => Ok(None),
            Some(text) => shown("why", text, WHY_LIMIT_BYTES).map(Some),
        }
    }

    fn shadow(&self) -> Result<bool, Fault> {
        match self.get("mode") {
            None => Ok(false),
            Some("shadow") => Ok(true),
            Some(_) => Err(malformed("mode", "`shadow` is the only mode")),
        }
    }

    fn terms(&self, hold: &str, builtin: bool) -> Result<Terms, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut keep = |fault: Fault| faults.push(fault);
        let any_of = alternatives(hold).map_err(&mut keep).unwrap_or_default();
        let break_glass = self.break_glass(builtin).map_err(&mut keep).unwrap_or_default();
        let ttl = self.span("ttl", DEFAULT_TTL).map_err(&mut keep).unwrap_or(DEFAULT_TTL);
        let grant = self.span("grant", DEFAULT_GRANT).map_err(&mut keep).unwrap_or(DEFAULT_GRANT);
        let assurance = self.assurance().map_err(&mut keep).unwrap_or(DEFAULT_ASSURANCE);
        let reason_required = self.reason_required().map_err(&mut keep).unwrap_or(true);
        let notify = self.notify().map_err(&mut keep).unwrap_or_default();
        let escalate = self.escalate(ttl).map_err(&mut keep).unwrap_or_default();
        if faults.is_empty() {
            Ok(Terms { any_of, break_glass, ttl, grant, assurance, reason_required, notify, escalate })
        } else {
            Err(faults)
        }
    }

    fn break_glass(&self, builtin: bool) -> Result<Option<GroupName>, Fault> {
        let Some(text) = self.get("break_glass") else { return Ok(None) };
        // Nobody alone changes who may do what.
        if builtin {
            return Err((
                "`@break_glass` stands on a built-in rule".to_owned(),
                "the deployment's own configuration has no break-glass; remove it".to_owned(),
            ));
        }
        text.parse().map(Some).map_err(|_| {
            malformed("break_glass", "a group's name, such as `oncall`, is expected; it takes one of them")
        })
    }

    fn span(&self, key: &str, default: Span) -> Result<Span, Fault> {
        self.get(key)
            .map_or(Ok(default), |text| Span::parse(text).map_err(|error| malformed(key, &error.to_string())))
    }

    fn assurance(&self) -> Result<Assurance, Fault> {
        match self.get("assurance") {
            None => Ok(DEFAULT_ASSURANCE),
            Some("passkey") => Ok(Assurance::Passkey),
            Some("chat") => Ok(Assurance::Chat),
            Some(_) => Err(malformed("assurance", "`passkey` or `chat` is expected")),
        }
    }

    fn reason_required(&self) -> Result<bool, Fault> {
        match self.get("reason") {
            None => Ok(false),
            Some("required") => Ok(true),
            Some(_) => Err(malformed("reason", "`required` is expected")),
        }
    }

    fn notify(&self) -> Result<Vec<String>, Fault> {
        let Some(text) = self.get("notify") else { return Ok(Vec::new()) };
        let text = shown("notify", text, NOTIFY_LIMIT_BYTES)?;
        let places: Vec<String> = text.split(',').map(|place| place.trim().to_owned()).collect();
        if places.iter().any(String::is_empty) {
            return Err(malformed(
                "notify",
                "places with a comma between them, such as `#dba, #ops`, are expected",
            ));
        }
        Ok(places)
    }

    fn escalate(&self, ttl: Span) -> Result<Option<Escalation>, Fault> {
        let Some(text) = self.get("escalate") else { return Ok(None) };
        let (after, group) = text
            .split_once(':')
            .ok_or_else(|| malformed("escalate", "a time and a group, such as `10m:oncall`, are expected"))?;
        let after = Span::parse(after.trim()).map_err(|error| malformed("escalate", &error.to_string()))?;
        let group =
            group.trim().parse::<GroupName>().map_err(|error| malformed("escalate", &error.to_string()))?;
        if after >= ttl {
            return Err(malformed(
                "escalate",
                &format!("the request waits {ttl} only; escalate before that"),
            ));
        }
        Ok(Some(Escalation { after, group }))
    }
}

/// Reads `dba:2 | admins:1`.
pub(crate) fn alternatives(text: &str) -> Result<Vec<Quorum>, Fault> {
    let mut quorums: Vec<Quorum> = Vec::new();
    for part in text.split('|') {
        let quorum = quorum(part.trim())?;
        if quorums.iter().any(|known| known.group == quorum.group) {
            return Err(malformed(
                "hold",
                &format!("the group `{}` stands twice; alternatives are OR", quorum.group),
            ));
        }
        quorums.push(quorum);
    }
    if quorums.len() > ALTERNATIVES_LIMIT {
        return Err(malformed("hold", &format!("at most {ALTERNATIVES_LIMIT} alternatives are expected")));
    }
    Ok(quorums)
}

fn quorum(text: &str) -> Result<Quorum, Fault> {
    let shape = || {
        malformed(
            "hold",
            &format!("`{text}` is not a group and a number, such as `dba:2` or `dba:2 | admins:1`"),
        )
    };
    let (group, count) = text.split_once(':').ok_or_else(shape)?;
    let group = group.parse::<GroupName>().map_err(|error| malformed("hold", &error.to_string()))?;
    // Digits alone: `u8` would read `+2` too.
    let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let count = count.parse::<u8>().ok().filter(|_| digits).ok_or_else(shape)?;
    if count == 0 || count > QUORUM_LIMIT {
        return Err(malformed("hold", &format!("a quorum of 1 to {QUORUM_LIMIT} people is expected")));
    }
    Ok(Quorum::of(group, count))
}

/// Words that reviewers read: nothing hidden in them.
fn shown(key: &str, text: &str, limit: usize) -> Result<String, Fault> {
    if text.trim().is_empty() || text.len() > limit || !domain::text::is_plain(text) {
        return Err(malformed(
            key,
            &format!(
                "1 to {limit} bytes on one line, without invisible or look-alike characters, are expected"
            ),
        ));
    }
    Ok(text.to_owned())
}

fn malformed(key: &str, why: &str) -> Fault {
    (format!("the value of `@{key}` is malformed: {why}"), format!("correct `@{key}`"))
}

fn suggestion(key: &str) -> String {
    let known = || GENERAL.iter().chain(FORBIDS).chain(BESIDE_HOLD);
    match known().find(|candidate| is_near(key, candidate)) {
        Some(near) => format!("did you mean `@{near}`?"),
        None => {
            format!("known are {}", known().map(|key| format!("`@{key}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether one letter added, dropped or changed makes one word of the other.
fn is_near(a: &str, b: &str) -> bool {
    let same = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let rest = |text: &str, from: usize| text.as_bytes().get(from..).map(<[u8]>::to_vec).unwrap_or_default();
    rest(a, same + 1) == rest(b, same)
        || rest(a, same) == rest(b, same + 1)
        || rest(a, same + 1) == rest(b, same + 1)
}

//! From text to a checked set: parse, lint each rule, validate strictly, index. Everything that is wrong is
//! reported at once; a set with anything wrong does not load.

use std::collections::{BTreeMap, HashSet};

use cedar_policy as cedar;
use cedar_policy::Effect as CedarEffect;
use domain::digest::{Digest, Purpose, Running};
use domain::directory::DOCUMENT_LIMIT_BYTES;
use domain::id::{AgentId, Environment, GroupName, PersonId, RuleId, TargetName};
use domain::text::Piece;
use miette::Diagnostic;

use crate::LoadError;
use crate::annotations::Annotations;
use crate::rule::{Effect, Rule};
use crate::schema::schema;
use crate::shape;
use crate::syntax::{self, Reads};

/// The rules that stand before every deployment's own.
pub(crate) const BUILTIN: &str = include_str!("builtin.cedar");

/// A rule with its Cedar form.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) rule: Rule,
    pub(crate) cedar: cedar::Policy,
    pub(crate) reads: Reads,
}

/// All rules in the order of their ids, and what Cedar finds strange in them.
pub(crate) struct LoadedSet {
    pub(crate) rules: Vec<Loaded>,
    pub(crate) never_match: Vec<(RuleId, String)>,
}

/// The digest that evaluations carry: over the built-in text, a line feed, and the deployment's text.
pub(crate) fn digest(text: &str) -> Digest {
    let mut running = Running::new(Purpose::Policy);
    running.update(BUILTIN.as_bytes());
    running.update(b"\n");
    running.update(text.as_bytes());
    running.finish()
}

/// Parsing and validating recurse: about 10 KiB for each operator of a rule in a debug build.
const LOAD_STACK_BYTES: usize = 32 << 20;

/// Loads the built-in rules and these, on a stack that holds what [`shape`] lets through.
pub(crate) fn load(text: &str) -> Result<LoadedSet, Vec<LoadError>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy-load".to_owned()).stack_size(LOAD_STACK_BYTES);
        let failed = |what: String| vec![LoadError::whole(what, "try again; report it if it stays so")];
        let load = thread
            .spawn_scoped(scope, || load_here(text))
            .map_err(|error| failed(format!("no thread to load on: {error}")))?;
        load.join().map_err(|_| failed("the loader panicked".to_owned()))?
    })
}

fn load_here(text: &str) -> Result<LoadedSet, Vec<LoadError>> {
    let mut rules = read(BUILTIN, true)?;
    rules.extend(read(text, false)?);
    rules.sort_by(|a, b| a.rule.id.cmp(&b.rule.id));
    let never_match = validate(text, &rules)?;
    Ok(LoadedSet { rules, never_match })
}

/// Parses one text and lints each of its rules.
fn read(text: &str, builtin: bool) -> Result<Vec<Loaded>, Vec<LoadError>> {
    before_parsing(text)?;
    let set: cedar::PolicySet = text.parse().map_err(|errors| parse_errors(text, &errors))?;
    let mut errors = Vec::new();
    if set.num_of_templates() > 0 {
        errors.push(LoadError::whole(
            "the text holds a template (`?principal` or `?resource`)",
            "write the rule out; templates are not linked",
        ));
    }
    let mut rules = Vec::new();
    let mut ids = HashSet::new();
    for (place, policy) in in_text_order(text, &set) {
        match lint(text, place, policy, builtin) {
            Ok(loaded) => {
                if !ids.insert(loaded.rule.id.clone()) {
                    errors.push(
                        LoadError::at(text, place.offset, "another rule has this `@id`", "choose another")
                            .of(loaded.rule.id.as_str()),
                    );
                }
                rules.push(loaded);
            }
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

fn before_parsing(text: &str) -> Result<(), Vec<LoadError>> {
    if text.len() > DOCUMENT_LIMIT_BYTES {
        return Err(vec![LoadError::whole(
            format!("the text has {} bytes", text.len()),
            format!("the limit is {DOCUMENT_LIMIT_BYTES}"),
        )]);
    }
    let mut errors = hidden_characters(text);
    errors.extend(shape::check(text));
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// A reviewer of the set must see what the engine reads.
fn hidden_characters(text: &str) -> Vec<LoadError> {
    let mut errors = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let shown = line.trim_end_matches(['\n', '\r']);
        if let Some(Piece::Hidden(name)) =
            domain::text::pieces(shown).into_iter().find(|piece| matches!(piece, Piece::Hidden(_)))
        {
            errors.push(LoadError::at(
                text,
                offset,
                format!("the line holds the hidden character {name}"),
                "remove it",
            ));
        }
        offset += line.len();
    }
    errors
}

/// Where a rule begins.
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    line: usize,
}

/// The policies with where each begins. Cedar numbers them in the order of the text.
fn in_text_order<'a>(text: &str, set: &'a cedar::PolicySet) -> Vec<(Place, &'a cedar::Policy)> {
    let number = |policy: &cedar::Policy| {
        AsRef::<str>::as_ref(policy.id()).trim_start_matches("policy").parse::<usize>().unwrap_or(usize::MAX)
    };
    let mut policies: Vec<&cedar::Policy> = set.policies().collect();
    policies.sort_by_key(|policy| number(policy));
    let mut place = Place { offset: 0, line: 1 };
    let mut found = Vec::with_capacity(policies.len());
    for policy in policies {
        let own = policy.to_cedar().unwrap_or_default();
        let rest = text.get(place.offset..).unwrap_or_default();
        let (before, _) = rest.split_at_checked(rest.find(&own).unwrap_or(0)).unwrap_or_default();
        place = place.after(before);
        found.push((place, policy));
        place = place.after(&own);
    }
    found
}

impl Place {
    fn after(self, text: &str) -> Self {
        Self { offset: self.offset + text.len(), line: self.line + text.matches('\n').count() }
    }
}

fn lint(text: &str, place: Place, policy: &cedar::Policy, builtin: bool) -> Result<Loaded, Vec<LoadError>> {
    let annotations = Annotations {
        pairs: policy.annotations().collect(),
        is_permit: policy.effect() == CedarEffect::Permit,
    };
    let line = (!builtin).then_some(place.line);
    let name = policy.annotation("id").unwrap_or_default();
    let said = |(message, help): (String, String)| {
        let error = LoadError::at(text, place.offset, message, help);
        if name.is_empty() { error } else { error.of(name) }
    };
    let json = policy.to_json().map_err(|error| {
        vec![said((format!("Cedar cannot read it back: {error}"), "simplify the rule".to_owned()))]
    })?;
    let reads = syntax::reads(&json);
    let mut faults: Vec<(String, String)> =
        policy.entity_literals().iter().filter_map(literal_fault).collect();
    faults.dedup();
    match annotations.rule(line) {
        Ok(rule) => {
            faults.extend(read_faults(&rule, &reads));
            if faults.is_empty() {
                let cedar = policy.new_id(cedar::PolicyId::new(rule.id.as_str()));
                return Ok(Loaded { rule, cedar, reads });
            }
        }
        Err(found) => faults.extend(found),
    }
    Err(faults.into_iter().map(said).collect())
}

/// What a rule reads and should not.
fn read_faults(rule: &Rule, reads: &Reads) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    if reads.whole_context {
        faults.push((
            "`context` is used as a whole".to_owned(),
            "name the fact, such as `context.parsed`".to_owned(),
        ));
    }
    if reads.risk_elsewhere {
        faults.push((
            "`context.risk` may only add holds".to_owned(),
            "use it as `context.risk >= 70` in the `when` of a rule with `@hold`, joined by `&&` or `||` only".to_owned(),
        ));
    } else if reads.risk && !matches!(rule.effect, Effect::Hold(_)) {
        faults.push((
            "`context.risk` may only add holds, and this rule has no `@hold`".to_owned(),
            "add `@hold(\"group:1\")`; risk is never authority".to_owned(),
        ));
    }
    faults
}

/// An entity that can never be asked about: a rule that names it silently never matches.
fn literal_fault(uid: &cedar::EntityUid) -> Option<(String, String)> {
    let id = uid.id().unescaped();
    let (ok, expected) = match uid.type_name().basename() {
        "Agent" => (
            id.parse::<AgentId>().is_ok_and(|parsed| parsed.to_string() == id),
            "an agent's id, a UUID in small letters,",
        ),
        "Person" => (
            id.parse::<PersonId>().is_ok_and(|parsed| parsed.to_string() == id),
            "a person's id, a UUID in small letters,",
        ),
        "Group" => (id.parse::<GroupName>().is_ok(), "a group's name of a-z, 0-9, `-`, `_` and `.`"),
        "Env" => (id.parse::<Environment>().is_ok(), "an environment's name of a-z, 0-9, `-`, `_` and `.`"),
        "Target" => (id.parse::<TargetName>().is_ok(), "a route's name of a-z, 0-9, `-`, `_` and `.`"),
        "Resource" => (
            id.split_once('/').is_some_and(|(target, _)| target.parse::<TargetName>().is_ok()),
            "`<target>/<name>`",
        ),
        // Actions are held against the schema by Cedar.
        _ => (true, ""),
    };
    (!ok).then(|| (format!("`{uid}` can never match"), format!("{expected} is expected")))
}

/// Strict validation of the whole set, and what can never match.
fn validate(text: &str, rules: &[Loaded]) -> Result<Vec<(RuleId, String)>, Vec<LoadError>> {
    let schema = schema().map_err(|error| vec![error])?;
    let set = cedar::PolicySet::from_policies(rules.iter().map(|loaded| loaded.cedar.clone()))
        .map_err(|error| vec![LoadError::whole(error.to_string(), "give each rule its own `@id`")])?;
    let lines: BTreeMap<&str, Option<usize>> =
        rules.iter().map(|loaded| (loaded.rule.id.as_str(), loaded.rule.line)).collect();
    let result = cedar::Validator::new(schema.clone()).validate(&set, cedar::ValidationMode::Strict);
    let mut errors: Vec<LoadError> = result
        .validation_errors()
        .map(|error| located(text, error, &lines, error.policy_id(), VALIDATION_HELP))
        .collect();
    let mut never_match = Vec::new();
    for warning in result.validation_warnings() {
        let idle = matches!(
            warning,
            cedar::ValidationWarning::ImpossiblePolicy(_)
                | cedar::ValidationWarning::InvalidActionApplication(_)
        );
        match AsRef::<str>::as_ref(warning.policy_id()).parse() {
            Ok(id) if idle => never_match.push((id, warning.to_string())),
            // Characters that look like others, or that turn a text's direction; and what Cedar may warn of next.
            _ => errors.push(located(text, warning, &lines, warning.policy_id(), PLAIN_HELP)),
        }
    }
    errors.sort_by_key(|error| (error.line, error.column));
    never_match.sort();
    if errors.is_empty() { Ok(never_match) } else { Err(errors) }
}

const PLAIN_HELP: &str = "use plain characters, so that a reviewer sees what the engine reads";

const VALIDATION_HELP: &str = "see `countersign policy schema`; state the safe case of an optional fact with `unless { context has rows && … }`";

fn located<D: Diagnostic>(
    text: &str,
    error: &D,
    lines: &BTreeMap<&str, Option<usize>>,
    policy: &cedar::PolicyId,
    help: &str,
) -> LoadError {
    let rule: &str = policy.as_ref();
    let message = error.to_string();
    let help = error.help().map_or_else(|| help.to_owned(), |own| format!("{own}; {help}"));
    let located = match (lines.get(rule), first_label(error)) {
        // A built-in rule's offset is not of this text.
        (Some(Some(_)), Some(offset)) => LoadError::at(text, offset, message, help),
        (Some(Some(line)), None) => {
            LoadError { line: Some(*line), column: Some(1), ..LoadError::whole(message, help) }
        }
        _ => LoadError::whole(message, help),
    };
    located.of(rule)
}

fn parse_errors(text: &str, errors: &cedar::ParseErrors) -> Vec<LoadError> {
    errors
        .iter()
        .map(|error| {
            let help = error.help().map_or_else(
                || "correct the syntax (docs.cedarpolicy.com)".to_owned(),
                |own| own.to_string(),
            );
            match first_label(error) {
                Some(offset) => LoadError::at(text, offset, error.to_string(), help),
                None => LoadError::whole(error.to_string(), help),
            }
        })
        .collect()
}

fn first_label<D: Diagnostic>(error: &D) -> Option<usize> {
    error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset())
}

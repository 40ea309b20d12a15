//! One question, answered: the permits and plain forbids first, and a deny is final; then the holds.

use std::collections::BTreeMap;

use cedar_policy as cedar;
use domain::action::{Action, Draft, Level, Point};
use domain::digest::Digest;
use domain::directory::Directory;
use domain::evaluation::{DecidingRule, Decision, Evaluation, Fact, Facts};
use domain::id::{Environment, RuleId, TargetName};
use domain::principal::Chain;
use domain::verb::Verb;

use crate::facts;
use crate::merge;
use crate::request::{Caller, resource_id};
use crate::rule::{NO_PERMIT, POLICY_ERROR, Rule};
use crate::set::{PolicySet, Slice};

/// What policy is asked. The directory must be the one that stands now: its version is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The action's parts.
    pub action: &'a Draft,
    /// The action's digest.
    pub digest: Digest,
    /// What is known of it besides; see [`crate::facts`] for those that every action has.
    pub facts: &'a Facts,
    /// Who and what the deployment knows.
    pub directory: &'a Directory,
}

impl<'a> Question<'a> {
    /// A question about a sealed action.
    #[must_use]
    pub fn of(action: &'a Action, facts: &'a Facts, directory: &'a Directory) -> Self {
        Self { action: action.parts(), digest: action.digest(), facts, directory }
    }

    /// Whether the caller stated a reason that says anything.
    #[must_use]
    pub fn has_reason(&self) -> bool {
        self.action.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty())
    }
}

/// Policy's answer, without what makes it the answer to one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub decision: Decision,
    /// The rules that decided, in the order of their ids.
    pub rules: Vec<DecidingRule>,
    /// Shadow rules that would have held or denied, in the order of their ids.
    pub shadow: Vec<RuleId>,
    /// Whether the answer may depend on the action's own values. Only where it does not may it be remembered,
    /// under its [`MemoKey`].
    pub depends_on_values: bool,
    /// Whether the answer may depend on what other actions have left behind: the same question may be answered
    /// otherwise later.
    pub depends_on_history: bool,
}

/// Everything that an answer which does not depend on the action's own values depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemoKey {
    policy: Digest,
    directory: u64,
    chain: Chain,
    verb: Verb,
    target: TargetName,
    environment: Environment,
    labels: BTreeMap<String, String>,
    point: Point,
    level: Level,
    has_reason: bool,
    matched: bool,
    parsed: bool,
}

impl PolicySet {
    /// Answers a question. Whatever goes wrong is a deny that says what.
    #[must_use]
    pub fn evaluate(&self, question: &Question<'_>) -> Evaluation {
        self.record(question, self.answer(question))
    }

    /// Answers a question, for a caller that remembers answers.
    #[must_use]
    pub fn answer(&self, question: &Question<'_>) -> Answer {
        self.answer_over(question, Self::slice).unwrap_or_else(|error| failed(&error, Vec::new()))
    }

    /// The evaluation that an answer makes of a question.
    #[must_use]
    pub fn record(&self, question: &Question<'_>, answer: Answer) -> Evaluation {
        Evaluation {
            v: 1,
            action: question.digest,
            policy: self.digest(),
            directory: question.directory.version(),
            facts: question.facts.clone(),
            decision: answer.decision,
            rules: answer.rules,
            shadow: answer.shadow,
        }
    }

    /// Under what an answer may be remembered, where [`Answer::depends_on_values`] is false. A key that has an
    /// answer remembered gets the same answer again; facts that do not pass [`facts::check`] have no key.
    #[must_use]
    pub fn memo_key(&self, question: &Question<'_>) -> Option<MemoKey> {
        facts::check(question.facts).ok()?;
        let action = question.action;
        let is = |name: &str| question.facts.get(name) == Some(&Fact::Bool(true));
        Some(MemoKey {
            policy: self.digest(),
            directory: question.directory.version(),
            chain: action.chain.clone(),
            verb: action.verb,
            target: action.target.name.clone(),
            environment: action.resource.environment.clone(),
            labels: action.resource.labels.clone(),
            point: action.point,
            level: action.level,
            has_reason: question.has_reason(),
            matched: is("matched"),
            parsed: is("parsed"),
        })
    }

    /// Answers over the slice that `find` returns: the index's, or in tests the full set.
    pub(crate) fn answer_over<S: std::ops::Deref<Target = Slice>>(
        &self,
        question: &Question<'_>,
        find: impl FnOnce(&Self, &Question<'_>, &Caller<'_>, &str) -> S,
    ) -> Result<Answer, String> {
        let caller = Caller::find(question.action, question.directory)?;
        let id = resource_id(question.action);
        let slice = find(self, question, &caller, &id);
        let (request, entities) = self.names().build(question, &caller, id, &slice.named)?;
        let ask = |set: &cedar::PolicySet| cedar::Authorizer::new().is_authorized(&request, set, &entities);

        let shadow = slice.shadow.as_ref().map(|set| watched(&ask(set))).unwrap_or_default();
        let base = ask(&slice.base);
        if let Some(error) = first_error(&base) {
            return Ok(failed(&error, shadow));
        }
        let depends_on_values = slice.own_values || self.singles_out(&question.action.target.name);
        let base_rules = self.matched(&base)?;
        let answer = |decision, rules: Vec<DecidingRule>| Answer {
            decision,
            rules,
            shadow: shadow.clone(),
            depends_on_values,
            depends_on_history: slice.history,
        };
        if base.decision() == cedar::Decision::Deny {
            let rules =
                if base_rules.is_empty() { vec![no_permit(question.action)?] } else { deciding(&base_rules) };
            return Ok(answer(Decision::Deny, rules));
        }
        let Some(holds) = &slice.holds else { return Ok(answer(Decision::Permit, deciding(&base_rules))) };
        let held = ask(holds);
        if let Some(error) = first_error(&held) {
            return Ok(failed(&error, shadow));
        }
        if held.decision() == cedar::Decision::Allow {
            return Ok(answer(Decision::Permit, deciding(&base_rules)));
        }
        let (decision, rules) = merge::holds(&self.matched(&held)?, question.has_reason())?;
        Ok(answer(decision, rules))
    }

    /// The rules that determined a response, in the order of their ids.
    fn matched(&self, response: &cedar::Response) -> Result<Vec<&Rule>, String> {
        let mut rules = Vec::new();
        for id in response.diagnostics().reason() {
            let id: &str = id.as_ref();
            // The permit-all beside the holds; it decides where none matched.
            if id != crate::set::PERMIT_ALL {
                rules.push(
                    self.by_id(id).ok_or_else(|| format!("the rule `{id}` decided and is not in the set"))?,
                );
            }
        }
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(rules)
    }
}

/// A rule that errs has neither matched nor not matched. Cedar skips it, and a skipped forbid forbids
/// nothing: so any error denies.
pub(crate) fn failed(error: &str, shadow: Vec<RuleId>) -> Answer {
    let why = format!("policy could not answer, and what is not answered does not run: {error}");
    let rules = POLICY_ERROR.parse().map(|id| vec![DecidingRule { id, why }]).unwrap_or_default();
    Answer { decision: Decision::Deny, rules, shadow, depends_on_values: true, depends_on_history: true }
}

fn first_error(response: &cedar::Response) -> Option<String> {
    response.diagnostics().errors().map(ToString::to_string).min()
}

/// Shadow rules that matched, and those that erred: they would have denied.
fn watched(response: &cedar::Response) -> Vec<RuleId> {
    let erred = response
        .diagnostics()
        .errors()
        .map(|cedar::AuthorizationError::PolicyEvaluationError(error)| error.policy_id());
    let mut ids: Vec<RuleId> = response
        .diagnostics()
        .reason()
        .chain(erred)
        .filter(|id| AsRef::<str>::as_ref(id) != crate::set::PERMIT_ALL)
        .filter_map(|id| AsRef::<str>::as_ref(id).parse().ok())
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

fn no_permit(action: &Draft) -> Result<DecidingRule, String> {
    let (verb, target) = (action.verb, &action.target.name);
    let id = NO_PERMIT.parse().map_err(|error| format!("{error}"))?;
    let why = format!(
        "no rule permits `{verb}` on `{target}`; to allow it, add to the policy set \
         @id(\"…\") permit (principal, action == Action::\"{verb}\", resource in Target::\"{target}\");"
    );
    Ok(DecidingRule { id, why })
}

fn deciding(rules: &[&Rule]) -> Vec<DecidingRule> {
    rules.iter().map(|rule| rule.deciding()).collect()
}

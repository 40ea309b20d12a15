//! What a rule's conditions read, from Cedar's own JSON form of the rule. Cedar's types say whether a read is
//! sound; this says whether it is wise: risk may only add holds, and a decision that reads an action's
//! own values cannot be remembered for another action.

use serde_json::Value;

use crate::facts::{ESTIMATES, RISK};

/// What a rule's conditions read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Reads {
    /// Whether they read what is the request's own: the resource's name, or a fact that is no part of
    /// [`crate::MemoKey`].
    pub(crate) own_values: bool,
    /// Whether they read what other actions have left behind: the risk, or how often such an action ran or was denied.
    /// The same action may get another answer later.
    pub(crate) history: bool,
    /// Whether they read the risk otherwise than as `context.risk >= n` in a `when`.
    pub(crate) risk_elsewhere: bool,
    /// Whether they read the risk at all.
    pub(crate) risk: bool,
    /// Whether they use `context` otherwise than by a fact's name.
    pub(crate) whole_context: bool,
    /// The entities that conditions name, by type and id. A head compares with its entities and looks at none.
    pub(crate) entities: Vec<(String, String)>,
    /// The estimates by which an `unless`, or a permit's `when`, lets something run.
    pub(crate) lifting_estimates: Vec<&'static str>,
}

/// Attributes of the resource that the target, the environment and the labels determine.
const SHARED_ATTRIBUTES: [&str; 3] = ["target", "environment", "production"];
/// Facts that stand in the key under which an answer is remembered ([`crate::MemoKey`]).
const SHARED_FACTS: [&str; 6] = ["subject", "point", "level", "has_reason", "matched", "parsed"];
/// Facts that other actions change.
const FACTS_OF_HISTORY: [&str; 4] = [RISK, "prior_runs", "prior_denials", "denied_today"];

/// One node to look at, and what stands above it.
#[derive(Clone, Copy)]
struct Node<'a> {
    value: &'a Value,
    /// Whether only `&&` and `||` stand above it, in a `when`: what holds here makes the rule match.
    adds: bool,
    /// Whether its clause lets something run where it holds.
    lifts: bool,
}

/// Walks the conditions without recursion, so that no nesting overflows the stack.
pub(crate) fn reads(policy: &Value) -> Reads {
    let permits = policy.get("effect").and_then(Value::as_str) == Some("permit");
    let mut reads = Reads::default();
    let mut open: Vec<Node<'_>> = Vec::new();
    for clause in policy.get("conditions").and_then(Value::as_array).into_iter().flatten() {
        let when = clause.get("kind").and_then(Value::as_str) == Some("when");
        if let Some(value) = clause.get("body") {
            open.push(Node { value, adds: when && !permits, lifts: when == permits });
        }
    }
    while let Some(node) = open.pop() {
        reads.look(node, &mut open);
    }
    reads
}

impl Reads {
    fn look<'a>(&mut self, node: Node<'a>, open: &mut Vec<Node<'a>>) {
        let inner = |value: &'a Value| Node { value, adds: false, lifts: node.lifts };
        let fields = match node.value {
            Value::Array(items) => return open.extend(items.iter().map(inner)),
            Value::Object(fields) => fields,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
        };
        for (operator, operands) in fields {
            match operator.as_str() {
                "Var" => self.bare(operands),
                "Value" => self.entities.extend(entity(operands)),
                // Its keys are the author's words, and may look like operators.
                "Record" => open
                    .extend(operands.as_object().into_iter().flat_map(|record| record.values()).map(inner)),
                "." | "has" => self.attribute(operands, node, open),
                "hasTag" | "getTag" if is_var(left(operands), "resource") => {
                    open.extend(right(operands).map(inner));
                }
                "in" if is_var(left(operands), "resource") && is_place(right(operands)) => {}
                "is" if is_var(left(operands), "resource")
                    && operands.get("in").is_none_or(|place| is_place(Some(place))) => {}
                "&&" | "||" if node.adds => {
                    open.extend(
                        [left(operands), right(operands)]
                            .into_iter()
                            .flatten()
                            .map(|value| Node { value, ..node }),
                    );
                }
                ">" | ">=" if node.adds && is_risk(left(operands)) => {
                    self.own_values = true;
                    self.history = true;
                    self.risk = true;
                    open.extend(right(operands).map(inner));
                }
                "<" | "<=" if node.adds && is_risk(right(operands)) => {
                    self.own_values = true;
                    self.history = true;
                    self.risk = true;
                    open.extend(left(operands).map(inner));
                }
                _ => open.push(inner(operands)),
            }
        }
    }

    fn bare(&mut self, name: &Value) {
        match name.as_str() {
            Some("context") => {
                self.whole_context = true;
                self.own_values = true;
                self.history = true;
            }
            // Compared as a whole: its id holds its name.
            Some("resource") => self.own_values = true,
            _ => {}
        }
    }

    fn attribute<'a>(&mut self, operands: &'a Value, node: Node<'a>, open: &mut Vec<Node<'a>>) {
        let name = operands.get("attr").and_then(Value::as_str);
        let of = left(operands);
        if is_var(of, "context") {
            self.own_values |= !name.is_some_and(|name| SHARED_FACTS.contains(&name));
            self.history |= name.is_none_or(|name| FACTS_OF_HISTORY.contains(&name));
            if name == Some(RISK) {
                self.risk = true;
                self.risk_elsewhere = true;
            }
            if let Some(estimate) = ESTIMATES.iter().find(|known| name == Some(known) && node.lifts)
                && !self.lifting_estimates.contains(estimate)
            {
                self.lifting_estimates.push(estimate);
            }
        } else if is_var(of, "resource") {
            self.own_values |= !name.is_some_and(|name| SHARED_ATTRIBUTES.contains(&name));
        } else {
            open.extend(of.map(|value| Node { value, adds: false, lifts: node.lifts }));
        }
    }
}

fn left(operands: &Value) -> Option<&Value> {
    operands.get("left")
}

fn right(operands: &Value) -> Option<&Value> {
    operands.get("right")
}

fn is_var(value: Option<&Value>, name: &str) -> bool {
    value.and_then(|value| value.get("Var")).and_then(Value::as_str) == Some(name)
}

fn is_risk(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get(".")).is_some_and(|get| {
        is_var(left(get), "context") && get.get("attr").and_then(Value::as_str) == Some(RISK)
    })
}

/// Whether a value names only targets and environments, which every resource of the slice shares.
fn is_place(value: Option<&Value>) -> bool {
    let Some(value) = value else { return false };
    match value.get("Set").and_then(Value::as_array) {
        Some(items) => items.iter().all(is_place_literal),
        None => is_place_literal(value),
    }
}

fn is_place_literal(value: &Value) -> bool {
    value.get("Value").and_then(entity).is_some_and(|(kind, _)| matches!(kind.as_str(), "Target" | "Env"))
}

/// A literal's type and id, where it is an entity.
fn entity(literal: &Value) -> Option<(String, String)> {
    let entity = literal.get("__entity")?;
    let text = |key: &str| entity.get(key).and_then(Value::as_str).map(str::to_owned);
    Some((text("type")?, text("id")?))
}

//! The slicing index. Cedar's cost is linear in the rules that it is handed, and most rules' heads rule them
//! out for most actions. A rule is filed under its head's principal, verb and resource; an action looks up
//! every head that could match it. What the index returns may be too much and is never too little: a rule
//! outside the slice has a head that is false for the action, and a false head can neither match nor err.

use std::collections::HashMap;
use std::hash::Hash;

use cedar_policy as cedar;
use cedar_policy::{ActionConstraint, PrincipalConstraint, ResourceConstraint};
use domain::action::Resource;
use domain::id::{AgentId, Environment, GroupName, PersonId, TargetName};
use domain::verb::{VOCABULARY, Verb};

/// A head's principal or resource, as a number.
type Key = u32;
/// The head that matches every principal, or every resource.
const ANY: Key = 0;
/// The head `principal is Agent`.
const AGENTS: Key = 1;
/// The head `principal is Person`.
const PEOPLE: Key = 2;
const FIRST_FREE: Key = 3;

/// A bucket of rules with the same head.
pub(crate) type Bucket = u32;

/// Which rules can match which action.
#[derive(Debug, Default)]
pub(crate) struct Index {
    agents: HashMap<AgentId, Key>,
    people: HashMap<PersonId, Key>,
    groups: HashMap<GroupName, Key>,
    targets: HashMap<TargetName, Key>,
    environments: HashMap<Environment, Key>,
    resources: HashMap<String, Key>,
    /// Targets of which a head names one resource: there a decision is not shared by other resources.
    singled_out: HashMap<TargetName, ()>,
    by_head: HashMap<(Verb, Key, Key), Bucket>,
    /// The rules of each bucket, as places in the set's order.
    buckets: Vec<Vec<usize>>,
    keys: Key,
}

/// Who asks, as heads can name them.
pub(crate) enum Who<'a> {
    Agent(AgentId),
    Person(PersonId, &'a std::collections::BTreeSet<GroupName>),
}

impl Index {
    /// Files every rule under its head.
    pub(crate) fn build<'a>(policies: impl Iterator<Item = &'a cedar::Policy>) -> Self {
        let mut index = Self { keys: FIRST_FREE, ..Self::default() };
        let verbs: Vec<Verb> = VOCABULARY.iter().filter_map(|(name, ..)| name.parse().ok()).collect();
        for (place, policy) in policies.enumerate() {
            let who = index.principal_key(&policy.principal_constraint());
            let what = index.resource_key(&policy.resource_constraint());
            let head = policy.action_constraint();
            for verb in verbs.iter().filter(|verb| names(&head, **verb)) {
                let fresh = Bucket::try_from(index.buckets.len()).unwrap_or(Bucket::MAX);
                let bucket = *index.by_head.entry((*verb, who, what)).or_insert(fresh);
                if bucket == fresh {
                    index.buckets.push(Vec::new());
                }
                if let Some(rules) =
                    usize::try_from(bucket).ok().and_then(|bucket| index.buckets.get_mut(bucket))
                {
                    rules.push(place);
                }
            }
        }
        index
    }

    /// The buckets whose heads could match, in a stable order.
    pub(crate) fn buckets(
        &self,
        who: &Who<'_>,
        verb: Verb,
        target: &TargetName,
        resource: &Resource,
        uid: &str,
    ) -> Vec<Bucket> {
        let whats = [
            Some(ANY),
            self.targets.get(target).copied(),
            self.environments.get(&resource.environment).copied(),
            self.resources.get(uid).copied(),
        ];
        let mut found = Vec::new();
        let mut look = |who: Key| {
            for what in whats.iter().flatten() {
                found.extend(self.by_head.get(&(verb, who, *what)).copied());
            }
        };
        look(ANY);
        match who {
            Who::Agent(agent) => {
                look(AGENTS);
                self.agents.get(agent).copied().into_iter().for_each(look);
            }
            Who::Person(person, groups) => {
                look(PEOPLE);
                self.people.get(person).copied().into_iter().for_each(&mut look);
                groups.iter().filter_map(|group| self.groups.get(group).copied()).for_each(look);
            }
        }
        found
    }

    /// The rules of these buckets, in the set's order.
    pub(crate) fn rules(&self, buckets: &[Bucket]) -> Vec<usize> {
        let of = |bucket: &Bucket| usize::try_from(*bucket).ok().and_then(|bucket| self.buckets.get(bucket));
        let mut rules: Vec<usize> = buckets.iter().filter_map(of).flatten().copied().collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// Whether a head names one resource of this target.
    pub(crate) fn singles_out(&self, target: &TargetName) -> bool {
        self.singled_out.contains_key(target)
    }

    fn principal_key(&mut self, head: &PrincipalConstraint) -> Key {
        let uid = match head {
            PrincipalConstraint::Any => return ANY,
            PrincipalConstraint::Is(kind) => {
                return match kind.basename() {
                    "Agent" => AGENTS,
                    "Person" => PEOPLE,
                    _ => ANY,
                };
            }
            PrincipalConstraint::In(uid)
            | PrincipalConstraint::Eq(uid)
            | PrincipalConstraint::IsIn(_, uid) => uid,
        };
        let id = uid.id().unescaped();
        // An id that does not parse was refused by the lint; filing it under every action is always right.
        match uid.type_name().basename() {
            "Agent" => id.parse().map_or(ANY, |id| intern(&mut self.agents, &mut self.keys, id)),
            "Person" => id.parse().map_or(ANY, |id| intern(&mut self.people, &mut self.keys, id)),
            "Group" => id.parse().map_or(ANY, |id| intern(&mut self.groups, &mut self.keys, id)),
            _ => ANY,
        }
    }

    fn resource_key(&mut self, head: &ResourceConstraint) -> Key {
        let uid = match head {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => return ANY,
            ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
                uid
            }
        };
        let id = uid.id().unescaped();
        match uid.type_name().basename() {
            "Target" => id.parse().map_or(ANY, |id| intern(&mut self.targets, &mut self.keys, id)),
            "Env" => id.parse().map_or(ANY, |id| intern(&mut self.environments, &mut self.keys, id)),
            "Resource" => {
                if let Some(target) = id.split_once('/').and_then(|(target, _)| target.parse().ok()) {
                    self.singled_out.insert(target, ());
                }
                intern(&mut self.resources, &mut self.keys, id.to_owned())
            }
            _ => ANY,
        }
    }
}

/// Whether an action head names a verb, itself or by its group.
fn names(head: &ActionConstraint, verb: Verb) -> bool {
    let is = |uid: &cedar::EntityUid, name: &str| uid.id().unescaped() == name;
    match head {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => is(uid, verb.as_str()),
        ActionConstraint::In(uids) => {
            uids.iter().any(|uid| is(uid, verb.as_str()) || is(uid, verb.group().as_str()))
        }
    }
}

fn intern<T: Hash + Eq>(names: &mut HashMap<T, Key>, next: &mut Key, name: T) -> Key {
    *names.entry(name).or_insert_with(|| {
        let key = *next;
        *next += 1;
        key
    })
}

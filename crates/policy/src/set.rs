//! A loaded policy set. It never changes: a new text is a new set, and a text that does not load leaves the
//! last good set where it is.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy as cedar;
use domain::digest::Digest;
use domain::id::{RuleId, TargetName};

use crate::LoadError;
use crate::evaluate::Question;
use crate::index::{Bucket, Index};
use crate::load::{self, Loaded};
use crate::request::{Caller, Named, Names};
use crate::rule::{Effect, Rule};

/// How many slices are kept ready. A deployment has about as many as it has kinds of callers times kinds of
/// actions; over the limit they are forgotten and made again.
pub const SLICES_LIMIT: usize = 4_096;

/// The permit beside the holds, so that Cedar's allow means "not held".
pub(crate) const PERMIT_ALL: &str = "countersign.permit-all";

/// Rules that were parsed, linted, validated and indexed.
#[derive(Debug)]
pub struct PolicySet {
    digest: Digest,
    rules: Vec<Loaded>,
    by_id: HashMap<String, usize>,
    never_match: Vec<(RuleId, String)>,
    index: Index,
    names: Names,
    permit_all: cedar::Policy,
    slices: RwLock<HashMap<Box<[Bucket]>, Arc<Slice>>>,
}

/// The rules whose heads could match some actions, ready for Cedar.
#[derive(Debug)]
pub(crate) struct Slice {
    /// Permits and plain forbids.
    pub(crate) base: cedar::PolicySet,
    /// Forbids that people can lift, and one permit; none where there are no such forbids.
    pub(crate) holds: Option<cedar::PolicySet>,
    /// Forbids that only watch, and one permit.
    pub(crate) shadow: Option<cedar::PolicySet>,
    /// Whom the rules name.
    pub(crate) named: Named,
    /// Whether some rule reads an action's own values; see [`crate::syntax::Reads::own_values`].
    pub(crate) own_values: bool,
    /// Whether some rule reads what other actions have left behind; see [`crate::syntax::Reads::history`].
    pub(crate) history: bool,
}

impl PolicySet {
    /// Loads a set from Cedar text, together with the built-in rules.
    ///
    /// # Errors
    /// Everything that is wrong with the text: syntax, strict validation against the schema, annotations.
    pub fn load(text: &str) -> Result<Self, Vec<LoadError>> {
        let loaded = load::load(text)?;
        let one = |error: LoadError| vec![error];
        let permit_all = cedar::Policy::parse(
            Some(cedar::PolicyId::new(PERMIT_ALL)),
            "permit (principal, action, resource);",
        )
        .map_err(|error| one(LoadError::whole(error.to_string(), "this build is broken; report it")))?;
        let by_id = loaded
            .rules
            .iter()
            .enumerate()
            .map(|(place, loaded)| (loaded.rule.id.to_string(), place))
            .collect();
        Ok(Self {
            digest: load::digest(text),
            by_id,
            index: Index::build(loaded.rules.iter().map(|loaded| &loaded.cedar)),
            rules: loaded.rules,
            never_match: loaded.never_match,
            names: Names::new().map_err(one)?,
            permit_all,
            slices: RwLock::default(),
        })
    }

    /// The digest that evaluations carry: over the built-in rules, a line feed, and the text. It is not the
    /// directory's digest of the applied text, since the built-in rules decide too.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All rules, built-in ones too, in the order of their ids.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|loaded| &loaded.rule)
    }

    /// A rule by its id.
    #[must_use]
    pub fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.by_id(id.as_str())
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Rule> {
        self.by_id.get(id).and_then(|place| self.rules.get(*place)).map(|loaded| &loaded.rule)
    }

    pub(crate) fn loaded(&self) -> &[Loaded] {
        &self.rules
    }

    /// Rules that Cedar's types show never to match, and why.
    pub(crate) fn never_match(&self) -> &[(RuleId, String)] {
        &self.never_match
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    pub(crate) fn singles_out(&self, target: &TargetName) -> bool {
        self.index.singles_out(target)
    }

    /// The rules that could match this action.
    pub(crate) fn slice(
        &self,
        question: &Question<'_>,
        caller: &Caller<'_>,
        resource_id: &str,
    ) -> Arc<Slice> {
        let action = question.action;
        let buckets = self.index.buckets(
            &caller.who(),
            action.verb,
            &action.target.name,
            &action.resource,
            resource_id,
        );
        // A panic while the lock is held cannot leave a slice half made: slices are made before they are put.
        if let Some(slice) =
            self.slices.read().unwrap_or_else(PoisonError::into_inner).get(buckets.as_slice())
        {
            return Arc::clone(slice);
        }
        let slice = Arc::new(self.make_slice(&self.index.rules(&buckets)));
        let mut slices = self.slices.write().unwrap_or_else(PoisonError::into_inner);
        if slices.len() >= SLICES_LIMIT {
            slices.clear();
        }
        slices.insert(buckets.into(), Arc::clone(&slice));
        slice
    }

    /// Every rule: what the index must agree with.
    #[cfg(test)]
    pub(crate) fn whole(&self) -> Arc<Slice> {
        Arc::new(self.make_slice(&(0..self.rules.len()).collect::<Vec<_>>()))
    }

    fn make_slice(&self, places: &[usize]) -> Slice {
        let chosen = || places.iter().filter_map(|place| self.rules.get(*place));
        let of = |wanted: fn(&Rule) -> bool| chosen().filter(move |loaded| wanted(&loaded.rule));
        let beside_permit = |wanted: fn(&Rule) -> bool| {
            let with = std::iter::once(&self.permit_all).chain(of(wanted).map(|loaded| &loaded.cedar));
            of(wanted).next().map(|_| cedar_set(with))
        };
        let mut named = Named::default();
        chosen().for_each(|loaded| named.add(&loaded.reads.entities, &loaded.cedar.entity_literals()));
        Slice {
            base: cedar_set(
                of(|rule| !rule.shadow && !matches!(rule.effect, Effect::Hold(_)))
                    .map(|loaded| &loaded.cedar),
            ),
            holds: beside_permit(|rule| !rule.shadow && matches!(rule.effect, Effect::Hold(_))),
            shadow: beside_permit(|rule| rule.shadow),
            named,
            own_values: chosen().any(|loaded| loaded.reads.own_values),
            history: chosen().any(|loaded| loaded.reads.history),
        }
    }
}

/// Ids are unique since the set loaded. Were one not, the set stays empty, and an empty set denies: the base
/// permits nothing, and holds without their permit come to a requirement that `merge` refuses.
fn cedar_set<'a>(policies: impl Iterator<Item = &'a cedar::Policy>) -> cedar::PolicySet {
    cedar::PolicySet::from_policies(policies.cloned()).unwrap_or_default()
}

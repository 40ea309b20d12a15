//! A question as Cedar sees it, built from typed values. Only what a rule can reach is built: the caller, its
//! sponsor, the person it acts for, the action, the resource, and whoever the slice's rules name. That is a
//! handful of entities whatever the directory's size, and nothing that could go stale. A test holds these
//! values against the schema; at run time they conform by construction.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
};
use domain::action::{Draft, Level};
use domain::directory::{Agent, Directory, Person};
use domain::id::{AgentId, Environment, GroupName, PersonId, TargetName};
use domain::principal::{Principal, Role};
use domain::verb::{VOCABULARY, Verb, VerbGroup};

use crate::LoadError;
use crate::evaluate::Question;
use crate::facts;
use crate::index::Who;

/// Names that every request needs, made once.
#[derive(Debug)]
pub(crate) struct Names {
    agent: EntityTypeName,
    person: EntityTypeName,
    group: EntityTypeName,
    target: EntityTypeName,
    environment: EntityTypeName,
    resource: EntityTypeName,
    verbs: HashMap<Verb, Entity>,
}

/// What a slice's rules name. Agents, people and verbs must be there to be looked at; a membership in what no
/// rule names can change no answer (`in` stands before a name, and no attribute holds a group, a target or
/// an environment), and closing the hierarchy over it is what costs most.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    agents: Vec<AgentId>,
    people: Vec<PersonId>,
    verbs: Vec<Verb>,
    groups: HashSet<GroupName>,
    targets: HashSet<TargetName>,
    environments: HashSet<Environment>,
}

/// Who asks, found in the directory.
pub(crate) enum Caller<'a> {
    Agent(&'a Agent),
    Person(&'a Person),
}

impl<'a> Caller<'a> {
    /// Finds the caller; one whom the directory does not let act is an error, and so is an agent whose
    /// sponsor is another than when the action was sealed: nobody then on the chain controls it.
    pub(crate) fn find(action: &Draft, directory: &'a Directory) -> Result<Self, String> {
        match action.chain.caller {
            Principal::Person(id) => {
                let person = directory.person(id).filter(|person| person.active);
                person
                    .map(Self::Person)
                    .ok_or_else(|| format!("the caller `person:{id}` is not known or not active"))
            }
            Principal::Agent(id) => {
                let agent = directory
                    .agent(id)
                    .filter(|agent| agent.active)
                    .ok_or_else(|| format!("the caller `agent:{id}` is not known or not active"))?;
                let sponsored =
                    action.chain.behind.iter().any(|link| {
                        link.role == Role::Sponsor && link.party == Principal::Person(agent.sponsor)
                    });
                if sponsored {
                    Ok(Self::Agent(agent))
                } else {
                    Err(format!(
                        "the sponsor of `agent:{id}` is not on the action's chain; it changed, so ask again"
                    ))
                }
            }
        }
    }

    pub(crate) fn who(&self) -> Who<'a> {
        match self {
            Self::Agent(agent) => Who::Agent(agent.id),
            Self::Person(person) => Who::Person(person.id, &person.groups),
        }
    }
}

/// The id of a resource entity.
pub(crate) fn resource_id(action: &Draft) -> String {
    format!("{}/{}", action.target.name, action.resource.name)
}

impl Names {
    /// Makes the names.
    pub(crate) fn new() -> Result<Self, LoadError> {
        let action = type_name("Action")?;
        let uid = |name: &str| EntityUid::from_type_name_and_id(action.clone(), EntityId::new(name));
        let verb = |verb: Verb| (verb, Entity::new_no_attrs(uid(verb.as_str()), [uid(group(verb))].into()));
        Ok(Self {
            agent: type_name("Agent")?,
            person: type_name("Person")?,
            group: type_name("Group")?,
            target: type_name("Target")?,
            environment: type_name("Env")?,
            resource: type_name("Resource")?,
            verbs: VOCABULARY.iter().filter_map(|(name, ..)| name.parse().ok()).map(verb).collect(),
        })
    }

    /// The request and the entities that its rules can reach.
    pub(crate) fn build(
        &self,
        question: &Question<'_>,
        caller: &Caller<'_>,
        id: String,
        named: &Named,
    ) -> Result<(Request, Entities), String> {
        let action = question.action;
        let mut around = Around {
            names: self,
            directory: question.directory,
            named,
            entities: Vec::with_capacity(6),
            people: Vec::new(),
        };
        let principal = match caller {
            Caller::Agent(agent) => around.agent(agent)?,
            Caller::Person(person) => around.person(person)?,
        };
        let context = self.context(question, &mut around)?;
        let verb = self
            .verbs
            .get(&action.verb)
            .ok_or_else(|| format!("the verb `{}` is not in the schema", action.verb))?;
        let resource = around.resource(action, id)?;
        around.entities.push(verb.clone());
        around.named(caller, action.verb)?;
        // Adding closes the hierarchy from the added entities alone; `from_entities` looks for cycles in all of it.
        let entities =
            Entities::empty().add_entities(around.entities, None).map_err(|error| error.to_string())?;
        let request = Request::new(principal, verb.uid(), resource, context, None)
            .map_err(|error| error.to_string())?;
        Ok((request, entities))
    }

    fn context(&self, question: &Question<'_>, around: &mut Around<'_>) -> Result<Context, String> {
        facts::check(question.facts)?;
        let action = question.action;
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let mut pairs = Vec::with_capacity(question.facts.len() + 5);
        let mut put = |name: &str, value| pairs.push((name.to_owned(), value));
        put("point", text(action.point.as_str()));
        put("level", text(level(action.level)));
        put("has_reason", RestrictedExpression::new_bool(question.has_reason()));
        if let Some(run) = &action.run {
            put("run", text(run));
        }
        let subject = action.chain.behind.iter().find_map(|link| match (link.role, link.party) {
            (Role::Subject, Principal::Person(person)) => Some(person),
            _ => None,
        });
        if let Some(subject) = subject {
            put("subject", RestrictedExpression::new_entity_uid(around.person_by_id(subject)?));
        }
        for (name, fact) in question.facts {
            put(name, facts::value(fact));
        }
        Context::from_pairs(pairs).map_err(|error| error.to_string())
    }

    fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
    }
}

/// The entities of one request, each once.
struct Around<'a> {
    names: &'a Names,
    directory: &'a Directory,
    named: &'a Named,
    entities: Vec<Entity>,
    people: Vec<PersonId>,
}

impl Around<'_> {
    fn agent(&mut self, agent: &Agent) -> Result<EntityUid, String> {
        let sponsor = self.person_by_id(agent.sponsor)?;
        let uid = Names::uid(&self.names.agent, &agent.id.to_string());
        let attributes = [
            ("name".to_owned(), RestrictedExpression::new_string(agent.name.clone())),
            ("sponsor".to_owned(), RestrictedExpression::new_entity_uid(sponsor)),
        ];
        self.push(uid, attributes, [], [])
    }

    fn person_by_id(&mut self, id: PersonId) -> Result<EntityUid, String> {
        let person = self.directory.person(id).filter(|person| person.active);
        self.person(
            person
                .ok_or_else(|| format!("`person:{id}` on the action's chain is not known or not active"))?,
        )
    }

    fn person(&mut self, person: &Person) -> Result<EntityUid, String> {
        let uid = Names::uid(&self.names.person, &person.id.to_string());
        if self.people.contains(&person.id) {
            return Ok(uid);
        }
        self.people.push(person.id);
        let named = person.groups.iter().filter(|group| self.named.groups.contains(*group));
        let groups = named.map(|group| Names::uid(&self.names.group, group.as_str()));
        let name = ("name".to_owned(), RestrictedExpression::new_string(person.name.clone()));
        self.push(uid, [name], groups.collect::<Vec<_>>(), [])
    }

    fn resource(&mut self, action: &Draft, id: String) -> Result<EntityUid, String> {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let resource = &action.resource;
        let attributes = [
            ("name".to_owned(), text(&resource.name)),
            ("target".to_owned(), text(action.target.name.as_str())),
            ("environment".to_owned(), text(resource.environment.as_str())),
            ("production".to_owned(), RestrictedExpression::new_bool(resource.is_production())),
        ];
        let target = &action.target.name;
        let target =
            self.named.targets.contains(target).then(|| Names::uid(&self.names.target, target.as_str()));
        let environment = &resource.environment;
        let environment = self
            .named
            .environments
            .contains(environment)
            .then(|| Names::uid(&self.names.environment, environment.as_str()));
        let parents = target.into_iter().chain(environment);
        let labels = resource.labels.iter().map(|(key, value)| (key.clone(), text(value)));
        let uid = EntityUid::from_type_name_and_id(self.names.resource.clone(), EntityId::new(id));
        self.push(uid, attributes, parents, labels.collect::<Vec<_>>())
    }

    /// Whoever the rules name. Somebody unknown or inactive is left out: in no group, without attributes.
    fn named(&mut self, caller: &Caller<'_>, verb: Verb) -> Result<(), String> {
        let (directory, named) = (self.directory, self.named);
        for agent in named.agents.iter().filter_map(|id| directory.agent(*id)) {
            let is_caller = matches!(caller, Caller::Agent(known) if known.id == agent.id);
            let sponsored = directory.person(agent.sponsor).is_some_and(|person| person.active);
            if agent.active && sponsored && !is_caller {
                self.agent(agent)?;
            }
        }
        for person in
            named.people.iter().filter_map(|id| directory.person(*id)).filter(|person| person.active)
        {
            self.person(person)?;
        }
        let verbs =
            named.verbs.iter().filter(|named| **named != verb).filter_map(|verb| self.names.verbs.get(verb));
        self.entities.extend(verbs.cloned());
        Ok(())
    }

    fn push(
        &mut self,
        uid: EntityUid,
        attributes: impl IntoIterator<Item = (String, RestrictedExpression)>,
        parents: impl IntoIterator<Item = EntityUid>,
        tags: impl IntoIterator<Item = (String, RestrictedExpression)>,
    ) -> Result<EntityUid, String> {
        let entity = Entity::new_with_tags(uid.clone(), attributes, parents, tags)
            .map_err(|error| error.to_string())?;
        self.entities.push(entity);
        Ok(uid)
    }
}

impl Named {
    /// Adds what a rule names: in its conditions what may be looked at, and anywhere what may be belonged to.
    pub(crate) fn add(&mut self, in_conditions: &[(String, String)], anywhere: &[EntityUid]) {
        for (kind, id) in in_conditions {
            match kind.as_str() {
                "Agent" => put(&mut self.agents, id.parse().ok()),
                "Person" => put(&mut self.people, id.parse().ok()),
                "Action" => put(&mut self.verbs, id.parse().ok()),
                _ => {}
            }
        }
        for uid in anywhere {
            let id = uid.id().unescaped();
            match uid.type_name().basename() {
                "Group" => self.groups.extend(id.parse::<GroupName>().ok()),
                "Target" => self.targets.extend(id.parse::<TargetName>().ok()),
                "Env" => self.environments.extend(id.parse::<Environment>().ok()),
                _ => {}
            }
        }
    }
}

fn put<T: PartialEq>(list: &mut Vec<T>, item: Option<T>) {
    if let Some(item) = item.filter(|item| !list.contains(item)) {
        list.push(item);
    }
}

fn group(verb: Verb) -> &'static str {
    VerbGroup::as_str(verb.group())
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Enforced => "enforced",
        Level::Cooperative => "cooperative",
    }
}

fn type_name(name: &str) -> Result<EntityTypeName, LoadError> {
    name.parse().map_err(|error| {
        LoadError::whole(
            format!("the type `{name}` does not parse: {error}"),
            "this build is broken; report it",
        )
    })
}

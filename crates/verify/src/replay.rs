//! All cases of a receipt or bundle, side by side: each proven entry is read once, in the log's order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use domain::action::{Action, Point};
use domain::commitment::Disclosure;
use domain::directory::{GROUP_VERB, KEY_VERB};
use domain::entry::Kind;
use domain::id::{ActionId, Origin};

use crate::case::Case;
use crate::content::{self, Content};
use crate::known::Known;
use crate::log::{Order, Proven};
use crate::report::EntryLine;
use crate::verify::Trust;

/// What the entries so far came to.
pub(crate) struct Replay<'t> {
    origin: Origin,
    known: Known<'t>,
    order: Order,
    cases: BTreeMap<ActionId, Slot>,
    /// How many cases were handed out and are only known by their ids.
    done: usize,
    scope: Scope,
    /// The index of a decision on which nobody was asked, where it is the one case that is looked at.
    decision: Option<u64>,
}

/// Which cases are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One, whose request must stand among the entries.
    One(ActionId),
    /// All; the request of each must stand among the entries.
    All,
    /// All, of a log whose beginning is not shown, or was pruned: a request may stand there.
    Tail,
}

/// Where one case stands.
pub(crate) enum Slot {
    Open(Box<Case>),
    /// Nothing can be said of it: why.
    Blind(String),
    /// It was handed out, at its end.
    Done,
}

/// A case that is handed out.
pub(crate) enum Closed {
    /// With all that was found.
    Whole(ActionId, Box<Case>),
    /// Of which nothing can be said: why.
    Blind(ActionId, String),
}

impl Closed {
    /// The case's id.
    pub(crate) fn id(&self) -> ActionId {
        match self {
            Self::Whole(id, _) | Self::Blind(id, _) => *id,
        }
    }
}

impl<'t> Replay<'t> {
    pub(crate) fn new(origin: Origin, trust: &'t Trust, scope: Scope) -> Self {
        Self {
            origin,
            known: Known::new(trust),
            order: Order::default(),
            cases: BTreeMap::new(),
            done: 0,
            scope,
            decision: None,
        }
    }

    /// Whether this is the request of the case that is looked at, or of any where all are.
    pub(crate) fn is_request(&self, proven: &Proven) -> bool {
        let ours = match self.scope {
            Scope::One(id) => proven.leaf.subject.as_deref() == Some(id.to_string().as_str()),
            Scope::All | Scope::Tail => true,
        };
        ours && proven.leaf.kind == Kind::Request
    }

    /// Where the one case that is looked at is a decision on which nobody was asked.
    pub(crate) fn decision(&self) -> Option<u64> {
        self.decision
    }

    /// Takes the next entry; a request comes with its payload, where it is shown. Answers the case that came to its
    /// end with it, if nothing that a later entry could tell is open.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub(crate) fn take(
        &mut self,
        proven: &Proven,
        payload: Option<Vec<Disclosure>>,
    ) -> Result<Option<Closed>, String> {
        self.order.next(proven.index, proven.leaf.time)?;
        let content = self.read(proven).map_err(|reason| told(proven, &reason))?;
        if payload.is_some() && !matches!(content, Content::Requested { .. } | Content::WithheldRequest(..)) {
            return Err(told(proven, "it is no request and has a payload"));
        }
        let case = content.case();
        self.step(proven, content, payload).map_err(|reason| {
            if let Some(id) = case {
                // What follows on it would be refused for the same reason again.
                if let Some(Slot::Done) = self.cases.insert(id, Slot::Blind("it does not hold".to_owned())) {
                    self.done = self.done.saturating_sub(1);
                }
            }
            told(proven, &reason)
        })
    }

    /// What an entry says, where it is of a case that is looked at: beside the one of a receipt, those in which keys
    /// and standings in groups were signed for.
    fn read(&self, proven: &Proven) -> Result<Content, String> {
        let Scope::One(ours) = self.scope else { return content::read(proven, None) };
        let (kind, opened) = (proven.leaf.kind, |id: &ActionId| self.cases.contains_key(id));
        let of_people = content::subject(proven)
            .filter(|id| kind == Kind::Request || (kind != Kind::Decision && opened(id)));
        let content = content::read(proven, Some(of_people.unwrap_or(ours)))?;
        let of_others = match &content {
            Content::Requested { id, action, .. } => *id != ours && !is_of_people(action),
            Content::WithheldRequest(id, _) => *id != ours,
            Content::Event(..)
            | Content::Withheld(_)
            | Content::Change(_)
            | Content::WithheldChange
            | Content::Decision(_)
            | Content::Other => false,
        };
        Ok(if of_others { Content::Other } else { content })
    }

    fn step(
        &mut self,
        proven: &Proven,
        content: Content,
        payload: Option<Vec<Disclosure>>,
    ) -> Result<Option<Closed>, String> {
        let id = match content {
            Content::Change(change) => {
                self.known.learn(proven.index, &change, &self.cases)?;
                return Ok(None);
            }
            Content::Requested { id, event, action } => {
                let case = Case::open(&event, *action, payload, proven)?;
                return self.insert(id, Slot::Open(Box::new(case)));
            }
            Content::WithheldRequest(id, what) => {
                let why = format!(
                    "entry {}: {what} of the request is withheld, so nobody can say what was asked",
                    proven.index
                );
                return self.insert(id, Slot::Blind(why));
            }
            Content::Event(id, event) => {
                match find(&mut self.cases, self.scope, id)? {
                    Slot::Open(case) => {
                        if case.broken_at.is_none() {
                            case.step(&event, (proven.index, proven.leaf.time), &self.origin, &self.known)?;
                            case.missing.extend(self.known.take_missing());
                        }
                        case.lines.push(line(proven));
                    }
                    Slot::Blind(_) => {}
                    Slot::Done => return Err("it comes after the case's end".to_owned()),
                }
                id
            }
            Content::Withheld(id) => {
                match find(&mut self.cases, self.scope, id)? {
                    Slot::Open(case) if case.broken_at.is_none() && is_over(case) => {
                        return Err("it comes after the case's end".to_owned());
                    }
                    Slot::Open(case) => {
                        case.broken_at = case.broken_at.or(Some(proven.index));
                        case.lines.push(line(proven));
                    }
                    Slot::Blind(_) => {}
                    Slot::Done => return Err("it comes after the case's end".to_owned()),
                }
                id
            }
            Content::Decision(_) => {
                if matches!(self.scope, Scope::One(_)) {
                    self.decision = self.decision.or(Some(proven.index));
                }
                return Ok(None);
            }
            Content::WithheldChange => {
                self.known.learn_withheld(proven.index, proven.leaf.subject.as_deref());
                return Ok(None);
            }
            Content::Other => return Ok(None),
        };
        Ok(self.finished(id))
    }

    fn insert(&mut self, id: ActionId, slot: Slot) -> Result<Option<Closed>, String> {
        match self.cases.insert(id, slot) {
            None => Ok(None),
            Some(_) => Err("a second request of one case".to_owned()),
        }
    }

    /// Hands out a case that is at its end and lacks nothing, so that memory holds only those that are under way, and
    /// those whose broken glass somebody may yet look at.
    fn finished(&mut self, id: ActionId) -> Option<Closed> {
        if matches!(self.scope, Scope::One(_)) {
            return None;
        }
        let slot = self.cases.get_mut(&id)?;
        let whole = matches!(slot, Slot::Open(case)
            if is_over(case) && case.missing.is_empty() && case.broken_at.is_none());
        if !whole {
            return None;
        }
        match std::mem::replace(slot, Slot::Done) {
            Slot::Open(mut case) => {
                self.done += 1;
                case.close(&self.known);
                Some(Closed::Whole(id, case))
            }
            Slot::Blind(_) | Slot::Done => None,
        }
    }

    /// Takes note that an entry was pruned: a request may have been.
    pub(crate) fn pruned(&mut self) {
        if self.scope == Scope::All {
            self.scope = Scope::Tail;
        }
    }

    /// How many cases are under way.
    pub(crate) fn open(&self) -> usize {
        self.cases.len().saturating_sub(self.done)
    }

    /// Hands out every case that is left, by id.
    pub(crate) fn close(self) -> impl Iterator<Item = Closed> {
        let known = self.known;
        self.cases.into_iter().filter_map(move |(id, slot)| match slot {
            Slot::Open(mut case) => {
                case.close(&known);
                Some(Closed::Whole(id, case))
            }
            Slot::Blind(why) => Some(Closed::Blind(id, why)),
            Slot::Done => None,
        })
    }
}

/// The case of an event; in a log whose beginning is not shown it may be one of which nothing can be said.
fn find(cases: &mut BTreeMap<ActionId, Slot>, scope: Scope, id: ActionId) -> Result<&mut Slot, String> {
    match cases.entry(id) {
        Entry::Occupied(slot) => Ok(slot.into_mut()),
        Entry::Vacant(slot) if scope == Scope::Tail => {
            let why = format!("the request of {id} is not shown, so nobody can say what was asked");
            Ok(slot.insert(Slot::Blind(why)))
        }
        Entry::Vacant(_) => Err("the request that it follows on is missing".to_owned()),
    }
}

/// Whether nothing can follow in a case.
fn is_over(case: &Case) -> bool {
    case.approval.is_terminal() && !case.approval.case().awaits_later_review()
}

/// Whether the action changes a key, or who stands in a group.
fn is_of_people(action: &Action) -> bool {
    let parts = action.parts();
    parts.point == Point::Config && [KEY_VERB, GROUP_VERB].contains(&parts.verb.as_str())
}

/// A proven entry as reports tell it.
pub(crate) fn line(proven: &Proven) -> EntryLine {
    let leaf = &proven.leaf;
    EntryLine {
        index: proven.index,
        at: leaf.time,
        kind: leaf.kind.as_str().to_owned(),
        subject: leaf.subject.clone(),
    }
}

fn told(proven: &Proven, reason: &str) -> String {
    format!("entry {} ({}): {reason}", proven.index, proven.leaf.kind.as_str())
}

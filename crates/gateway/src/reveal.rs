//! What people see of an action: masked, while the digest covers the real bytes. Who has the right opens a field,
//! and that they did is on record before they see it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use domain::action::Point;
use domain::commitment::Disclosure;
use domain::digest::Digest;
use domain::directory::Directory;
use domain::entry;
use domain::id::{ActionId, GroupName, PersonId};
use domain::principal::Principal;
use domain::time::Span;
use mask::{Class, Masked, Masker, Reveal, Rules, TrailMasks};
use store::Summary;

use crate::people::Human;
use crate::review::Standing;
use crate::{Gateway, GatewayError, limits};

/// Who looks at a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// The agent whose own action it is: it sees its own bytes.
    Caller,
    /// A person.
    Person(PersonId),
    /// Nobody in particular: masked, and nothing revealed.
    Anybody,
}

/// A field as it really is. Its bytes are not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Revealed {
    /// Which field.
    pub path: String,
    /// Its bytes.
    pub value: Vec<u8>,
    /// The digest of the card with this field revealed: what a statement names as displayed from now on.
    pub displayed: Digest,
}

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revealed").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How an action's fields are masked, and who may open them.
#[derive(Debug)]
pub(crate) struct Masking {
    /// None where nothing is masked: changes of Countersign's own configuration, which holds no secrets.
    fields: Option<Masker>,
    /// For names of resources: without what people are addressed by, or nobody could tell resources apart.
    names: Option<Masker>,
    reveal: Reveal,
}

impl Masking {
    /// By the rules of the route that stands now.
    ///
    /// # Errors
    /// Rules that cannot be read: then nothing is shown.
    pub(crate) fn of(action: &domain::action::Draft, directory: &Directory) -> Result<Self, GatewayError> {
        if action.point == Point::Config {
            return Ok(Self::none());
        }
        let rules = match directory.route(&action.target.name) {
            Some(route) => rules_of(&route.text)?,
            None => Rules::default(),
        };
        let mut off = rules.off.clone();
        off.extend([Class::Email, Class::Phone]);
        let names = Rules { patterns: rules.patterns.clone(), off, ..Rules::default() };
        Ok(Self {
            fields: Some(Masker::new(&rules).map_err(unreadable)?),
            names: Some(Masker::new(&names).map_err(unreadable)?),
            reveal: rules.reveal,
        })
    }

    /// Nothing is masked.
    pub(crate) fn none() -> Self {
        Self { fields: None, names: None, reveal: Reveal::Reviewers }
    }

    /// A payload's field; none where it shows as it is.
    pub(crate) fn field(&self, path: &str, bytes: &[u8]) -> Option<Masked> {
        let masked = self.fields.as_ref()?.mask(header_name(path), bytes);
        masked.is_masked().then_some(masked)
    }

    /// Words from outside; none where they show as they are.
    pub(crate) fn words(&self, text: &str) -> Option<Masked> {
        let masked = self.fields.as_ref()?.mask(None, text.as_bytes());
        masked.is_masked().then_some(masked)
    }

    /// A resource's name; none where it shows as it is.
    pub(crate) fn name(&self, name: &str) -> Option<Masked> {
        let masked = self.names.as_ref()?.mask(None, name.as_bytes());
        masked.is_masked().then_some(masked)
    }
}

/// The masks of what leaves by the trail, as the routes stand now.
#[must_use]
pub fn trail_masks(directory: &Directory) -> TrailMasks {
    TrailMasks::new(directory.routes().map(|(name, route)| (name.to_string(), rules_of(&route.text).ok())))
}

/// The rules of a route's document: its member `mask`, which its point has checked.
fn rules_of(document: &str) -> Result<Rules, GatewayError> {
    let route = domain::canonical::read_value(document.as_bytes())?;
    match route.get("mask") {
        Some(rules) => serde_json::from_value(rules.clone()).map_err(unreadable),
        None => Ok(Rules::default()),
    }
}

fn unreadable(why: impl std::fmt::Display) -> GatewayError {
    tracing::error!(%why, "a route's rules of masking cannot be read; what it holds is not shown");
    GatewayError::Unavailable(format!("the route's rules of masking cannot be read: {why}"))
}

/// The name of the header that a field is: `http.header.003.x-api-key`.
fn header_name(path: &str) -> Option<&str> {
    path.strip_prefix("http.header.")?.split_once('.').map(|(_, name)| name)
}

impl Gateway {
    /// One field as it really is. First that it was opened, by whom, enters the log; then it is answered. `path` is
    /// one of the card's masked fields: a payload's path, or `resource`, `reason` or `run`. Opened in the console, it
    /// counts as displayed to this person from then on.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] for whoever may not, which is logged too; [`GatewayError::NotFound`] for a field
    /// that the action has not, or that is not masked; store failures, and then nothing is answered.
    pub async fn reveal(&self, id: ActionId, human: &Human, path: &str) -> Result<Revealed, GatewayError> {
        let summary = self.approval_for(id, human).await?;
        self.require_reveal(&summary, human).await?;
        let card = self.card_for(&summary, Viewer::Person(human.person)).await?;
        let value = self.real(&summary, path).await?;
        if !card.masked.iter().any(|field| field.path == path) {
            return Err(GatewayError::NotFound("masked field"));
        }
        self.record_reveal(id, human.person, Some(path)).await?;
        if self.require_console(human).is_ok() {
            self.keep_revealed(id, human.person, [path.to_owned()]).await?;
        }
        let displayed = self.card_for(&summary, Viewer::Person(human.person)).await?.digest()?;
        Ok(Revealed { path: path.to_owned(), value, displayed })
    }

    /// Whether this person may open what is masked: whoever a rule that holds it asks, or whom the route names
    /// instead.
    ///
    /// # Errors
    /// Rules of a route that cannot be read.
    pub fn may_reveal(&self, summary: &Summary, person: PersonId) -> Result<bool, GatewayError> {
        let directory = self.store.directory();
        let Some(known) = directory.person(person).filter(|person| person.active) else { return Ok(false) };
        Ok(match Masking::of(summary.action.parts(), &directory)?.reveal {
            Reveal::Reviewers => summary
                .approval
                .case()
                .evaluation
                .requirement()
                .is_some_and(|requirement| known.groups.iter().any(|group| requirement.concerns(group))),
            Reveal::Admins => known.groups.contains(&GroupName::admins()),
            Reveal::Group(name) => known.groups.iter().any(|group| group.to_string() == name),
        })
    }

    /// What this person may do about an approval whose card they see: nobody approves over a field that they may
    /// not open.
    ///
    /// # Errors
    /// As [`Gateway::may_reveal`].
    pub fn standing_over(
        &self,
        summary: &Summary,
        person: PersonId,
        is_masked: bool,
    ) -> Result<Standing, GatewayError> {
        let mut standing = self.standing(summary, person);
        let approves = standing.may_approve || standing.glass.is_some();
        if approves && is_masked && !self.may_reveal(summary, person)? {
            (standing.may_approve, standing.glass) = (false, None);
            standing.why_not = Some(MAY_NOT_OPEN.to_owned());
        }
        Ok(standing)
    }

    /// A resource's name as lists show it.
    #[must_use]
    pub fn shown_resource(&self, summary: &Summary) -> String {
        let action = summary.action.parts();
        match Masking::of(action, &self.store.directory()) {
            Ok(masking) => masking
                .name(&action.resource.name)
                .map_or_else(|| action.resource.name.clone(), |masked| masked.to_string()),
            Err(_) => UNREADABLE.to_owned(),
        }
    }

    /// A value of this action as people see it where it stands beside others, such as in a comparison.
    #[must_use]
    pub fn shown_value(&self, summary: &Summary, part: &str, value: &str) -> String {
        let field = part.strip_prefix("payload ").unwrap_or(part);
        match Masking::of(summary.action.parts(), &self.store.directory()) {
            Ok(masking) => {
                let masked = if part == "resource.name" {
                    masking.name(value)
                } else {
                    masking.field(field, value.as_bytes())
                };
                masked.map_or_else(|| value.to_owned(), |masked| masked.to_string())
            }
            Err(_) => UNREADABLE.to_owned(),
        }
    }

    /// What somebody wrote beside an action, as people see it: a note, a question, why it was denied or taken back. What
    /// was signed or recorded stays whole.
    #[must_use]
    pub fn shown_words(&self, summary: &Summary, words: &str) -> String {
        match Masking::of(summary.action.parts(), &self.store.directory()) {
            Ok(masking) => masking.words(words).map_or_else(|| words.to_owned(), |masked| masked.to_string()),
            Err(_) => UNREADABLE.to_owned(),
        }
    }

    /// What people wrote beside an action, as its caller reads it: without secrets, and with whom to turn to.
    pub(crate) fn told_words(&self, summary: &Summary, words: &str) -> String {
        match Masking::of(summary.action.parts(), &self.store.directory()) {
            Ok(masking) => masking.name(words).map_or_else(|| words.to_owned(), |masked| masked.to_string()),
            Err(_) => UNREADABLE.to_owned(),
        }
    }

    /// Whether this person may approve, as a listing says it: as [`Gateway::standing_over`] does of a card. Whether
    /// something is masked is looked for only where it matters, and a payload over [`limits::LISTED_SCAN_BYTES`] counts as
    /// masked: its own page says for certain.
    ///
    /// Where the route's rules cannot be read nobody approves.
    ///
    /// # Errors
    /// Store failures.
    pub async fn may_approve_listed(
        &self,
        summary: &Summary,
        person: PersonId,
    ) -> Result<bool, GatewayError> {
        if !self.standing(summary, person).may_approve {
            return Ok(false);
        }
        match self.may_reveal(summary, person) {
            Ok(true) => Ok(true),
            Ok(false) => Ok(!self.holds_masked(summary).await?),
            Err(_) => Ok(false),
        }
    }

    async fn holds_masked(&self, summary: &Summary) -> Result<bool, GatewayError> {
        let action = summary.action.parts();
        let masking = Masking::of(action, &self.store.directory())?;
        let mut words = [&action.run, &action.reason].into_iter().flatten();
        if masking.name(&action.resource.name).is_some() || words.any(|text| masking.words(text).is_some()) {
            return Ok(true);
        }
        let payload = self.payload_of(summary).await?;
        let open = || {
            payload.iter().filter_map(|field| match field {
                Disclosure::Open(open) => Some(open),
                Disclosure::Withheld(_) => None,
            })
        };
        let bytes: usize = open().map(|field| field.value.0.len()).sum();
        Ok(bytes > limits::LISTED_SCAN_BYTES
            || open().any(|field| masking.field(&field.path, &field.value.0).is_some()))
    }

    /// That something masked may be opened by this person; else the try is logged and refused.
    pub(crate) async fn require_reveal(&self, summary: &Summary, human: &Human) -> Result<(), GatewayError> {
        if self.may_reveal(summary, human.person)? {
            return Ok(());
        }
        self.record_refusal(summary.action.id(), human.person, MAY_NOT_OPEN).await?;
        Err(GatewayError::Forbidden(MAY_NOT_OPEN.to_owned()))
    }

    /// That a person opens one field, or all of them, enters the log.
    pub(crate) async fn record_reveal(
        &self,
        id: ActionId,
        person: PersonId,
        field: Option<&str>,
    ) -> Result<(), GatewayError> {
        let mut fields = vec![("by".to_owned(), Principal::Person(person).to_string().into_bytes())];
        fields.extend(field.map(|field| ("field".to_owned(), field.as_bytes().to_vec())));
        let draft = entry::Draft { kind: entry::Kind::Reveal, subject: Some(id.to_string()), fields };
        self.store.record(draft).await?;
        Ok(())
    }

    /// The fields that this person has opened one by one in the console.
    pub(crate) async fn revealed(
        &self,
        id: ActionId,
        person: PersonId,
    ) -> Result<BTreeSet<String>, GatewayError> {
        match self.store.look(&revealed_key(id, person)).await? {
            Some(bytes) => Ok(domain::canonical::read(&bytes)?),
            None => Ok(BTreeSet::new()),
        }
    }

    /// These fields count as displayed to this person from now on.
    pub(crate) async fn keep_revealed(
        &self,
        id: ActionId,
        person: PersonId,
        paths: impl IntoIterator<Item = String> + Send,
    ) -> Result<(), GatewayError> {
        let mut revealed = self.revealed(id, person).await?;
        let before = revealed.len();
        revealed.extend(paths);
        if revealed.len() > before {
            let lifetime = Span::from_seconds(domain::time::SPAN_LIMIT_SECONDS);
            let bytes = domain::canonical::write(&revealed)?;
            self.store.keep(&revealed_key(id, person), &bytes, lifetime).await?;
        }
        Ok(())
    }

    async fn real(&self, summary: &Summary, path: &str) -> Result<Vec<u8>, GatewayError> {
        let action = summary.action.parts();
        let words = match path {
            RESOURCE => Some(action.resource.name.clone()),
            REASON => action.reason.clone(),
            RUN => action.run.clone(),
            _ => None,
        };
        if let Some(words) = words {
            return Ok(words.into_bytes());
        }
        let payload = self.payload_of(summary).await?;
        let field = payload.into_iter().find_map(|field| match field {
            Disclosure::Open(open) if open.path == path => Some(open.value.0),
            Disclosure::Open(_) | Disclosure::Withheld(_) => None,
        });
        field.ok_or(GatewayError::NotFound("masked field"))
    }
}

/// Words from outside as the gateway's own log has them, which no route's rules reach.
pub(crate) fn logged(text: &str) -> String {
    static MASKER: LazyLock<Masker> = LazyLock::new(Masker::default);
    MASKER.text(text)
}

/// The resource's name, among masked fields.
pub(crate) const RESOURCE: &str = "resource";
/// The reason, among masked fields.
pub(crate) const REASON: &str = "reason";
/// The run, among masked fields.
pub(crate) const RUN: &str = "run";

const MAY_NOT_OPEN: &str =
    "something here is masked, and you are not among those who may open it; somebody who may must review it";

const UNREADABLE: &str = "[masked: the route's rules cannot be read]";

fn revealed_key(id: ActionId, person: PersonId) -> String {
    format!("revealed/{id}/{person}")
}

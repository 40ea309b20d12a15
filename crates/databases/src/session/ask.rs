//! One question to the gateway: the action as it would stand on record.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use domain::action::{Level, Point, Resource};
use domain::digest::Digest;
use domain::time::Span;
use futures_util::FutureExt as _;
use gateway::admit::Caller;
use gateway::decide::{Ask, Decided, RecordPermit};
use gateway::store::RunWhenGone;
use postgres::hold::{Facts, Permit, StatementGroup, Verdict};
use postgres::parse::Bind;
use postgres::reply::Refusal;
use sql::Catalog;

use super::{End, Moment, Session, same};
use crate::catalog::{SessionNames, blind};
use crate::config::Record;
use crate::judge::{Judged, Unasked};
use crate::limits::{AGAIN_LIMIT, CATALOG_PATIENCE};
use crate::names;
use crate::payload::{OBJECTS, bytes_of};
use crate::point::Standing;
use crate::reply;

/// How long after its end an identical statement finds its approval: long enough to hear why it was denied.
const RETRY_WINDOW: Span = Span::from_seconds(600);

/// Who asks, and over what.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) caller: Arc<Caller>,
    pub(super) reason: Option<String>,
    pub(super) moment: Moment,
}

/// A question that outlives the message: everything that has to stand until it is answered.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) text: Arc<str>,
    pub(super) judged: Arc<Judged>,
    /// The text and its values, as fields.
    pub(super) bytes: Vec<(String, Vec<u8>)>,
    /// What of the catalog it stands on, as canonical JSON.
    objects: Vec<u8>,
    /// The question by which the executing transaction shows that it is so still.
    pub(super) recheck: Option<postgres::permit::Recheck>,
    /// The session's state, for the record.
    pub(super) state: BTreeMap<String, String>,
    same: Option<Digest>,
    pub(super) may_wait: bool,
    /// The types and values that the client bound, for the preview.
    pub(super) types: Vec<u32>,
    pub(super) bind: Option<Arc<Bind>>,
}

impl Session {
    /// Answers where the gateway remembers the answer, and where nothing has to be asked.
    pub(super) fn decide_at_once(
        &self,
        question: &Question,
        facts: &Facts,
        group: &StatementGroup<'_>,
    ) -> Result<Option<Verdict>, Refusal> {
        let judged = self.judge(&question.moment, group.text).map_err(|why| reply::unasked(&why))?;
        let Some(judged) = judged else {
            // Blanks and comments: nothing runs.
            return Ok(Some(Verdict::Permit(Permit { keeps_settings: true, ..Permit::default() })));
        };
        if judged.depends_on_binds && group.bind.is_some() {
            return Ok(None);
        }
        let state = names::state(question.moment.names.as_deref(), facts);
        let same = Some(same(&judged.digest, &state));
        let ask = self.ask(question, &judged, state, same, None);
        match self.shared.gateway.permit_at_once(&ask) {
            Ok(Some(permitted)) => Ok(Some(Verdict::Permit(self.permit(&judged, End::Permitted(permitted))))),
            Ok(None) => Ok(None),
            Err(error) => Err(reply::unavailable(&error)),
        }
    }

    /// Asks the gateway, while the client waits.
    pub(super) fn decide_later(
        &self,
        question: Question,
        facts: &Facts,
        group: &StatementGroup<'_>,
    ) -> Verdict {
        let bytes = match bytes_of(group) {
            Ok(bytes) => bytes,
            Err(why) => return Verdict::Deny(reply::unasked(&why)),
        };
        let (session, text, facts) = (self.clone(), Arc::from(group.text), facts.clone());
        let (may_wait, types) = (group.may_wait, group.types.to_vec());
        let bind = group.bind.map(|bind| Arc::new(bind.clone()));
        Verdict::Later(
            async move {
                match session.asked(question, text, bytes, &facts, may_wait, (types, bind)).await {
                    Ok(Some(asked)) => session.put(asked).await,
                    Ok(None) => Verdict::Permit(Permit { keeps_settings: true, ..Permit::default() }),
                    Err(why) => Verdict::Deny(reply::unasked(&why)),
                }
            }
            .boxed(),
        )
    }

    async fn asked(
        &self,
        mut question: Question,
        text: Arc<str>,
        bytes: Vec<(String, Vec<u8>)>,
        facts: &Facts,
        may_wait: bool,
        (types, bind): (Vec<u32>, Option<Arc<Bind>>),
    ) -> Result<Option<Asked>, Unasked> {
        self.catch_up(&mut question.moment).await;
        let Some(judged) = self.judge(&question.moment, &text)? else { return Ok(None) };
        let stands = self.stands_on(&question.moment, &text)?;
        let (objects, recheck) = (stands.bytes, stands.recheck);
        let state = names::state(question.moment.names.as_deref(), facts);
        let same = (!judged.depends_on_binds || bind.is_none()).then(|| same(&judged.digest, &state));
        Ok(Some(Asked {
            question,
            text,
            judged,
            bytes,
            objects,
            recheck,
            state,
            same,
            may_wait,
            types,
            bind,
        }))
    }

    /// Waits for a picture where there is none that can be believed: this session, or another, has changed the catalog.
    /// What its own open transaction changed nobody else can see: no name is then found.
    async fn catch_up(&self, moment: &mut Moment) {
        let redefined = self.state().redefined;
        if redefined && moment.open {
            if let Some(names) = &mut moment.names {
                Arc::make_mut(names).session.changed = true;
            }
            moment.redefined = true;
            return;
        }
        if !redefined && moment.picture.is_some() {
            return;
        }
        moment.picture = self.standing.pictures.fresh(CATALOG_PATIENCE).await;
        if moment.picture.is_some() {
            self.state().redefined = false;
        }
    }

    /// Puts it to the gateway, and follows what that says.
    async fn put(&self, asked: Asked) -> Verdict {
        let mut idempotency = None;
        for _ in 0..AGAIN_LIMIT {
            let ask = self.ask(
                &asked.question,
                &asked.judged,
                asked.state.clone(),
                asked.same,
                idempotency.as_deref(),
            );
            let payload = || {
                let mut payload = asked.bytes.clone();
                payload.push((OBJECTS.to_owned(), asked.objects.clone()));
                payload
            };
            // A preview differs from minute to minute, and is no part of what the statement is known by.
            let ask = Ask { retry_parts: Some(&payload), ..ask };
            let shown = Box::pin(self.shown(&asked));
            match Box::pin(self.shared.gateway.decide_shown(ask, payload, Some(shown))).await {
                Ok(Decided::Permitted(permitted)) => {
                    return Verdict::Permit(self.permit(&asked.judged, End::Permitted(permitted)));
                }
                Ok(Decided::Denied(denied)) => {
                    return Verdict::Deny(reply::denied(denied.id, &denied.rules, &asked.judged));
                }
                Ok(Decided::Held(held)) => match self.held(&asked, held).await {
                    Ok(verdict) => return verdict,
                    // One that ran is another: this is meant once more, and is asked for anew.
                    Err(ended) => idempotency = Some(format!("after {ended}")),
                },
                Err(error) => return Verdict::Deny(reply::unavailable(&error)),
            }
        }
        Verdict::Deny(reply::unavailable(&gateway::GatewayError::Busy))
    }

    fn ask<'a>(
        &'a self,
        question: &'a Question,
        judged: &'a Judged,
        state: BTreeMap<String, String>,
        same: Option<Digest>,
        idempotency: Option<&'a str>,
    ) -> Ask<'a> {
        let settings = self.standing.database.settings();
        let resource = Resource {
            name: judged.resource.clone(),
            environment: settings.environment.clone(),
            labels: settings.labels.clone(),
        };
        let credential = settings.credential.as_ref().map(|credential| &credential.secret);
        Ask {
            caller: &question.caller,
            point: Point::Postgres,
            // Where we show no credential of our own, nothing keeps the agent from going round us.
            level: if credential.is_some() { Level::Enforced } else { Level::Cooperative },
            verb: judged.verb,
            resource: Cow::Owned(resource),
            parts: &judged.parts,
            target: &self.standing.target,
            credential,
            session: state,
            run: None,
            reason: judged.reason.as_deref().or(question.reason.as_deref()),
            facts: judged.facts.clone(),
            operation: 0,
            shape: Cow::Owned(format!("{} {} {}", self.standing.target.name, judged.verb, judged.resource)),
            idempotency,
            retry_parts: None,
            holdable: true,
            retry_window: RETRY_WINDOW,
            // It runs in the session that waits, and nowhere else.
            run_when_gone: RunWhenGone::No,
            record: match settings.record {
                Record::Segment => RecordPermit::Segment,
                Record::BeforeRun => RecordPermit::BeforeRun,
            },
            same,
        }
    }
}

impl Moment {
    /// The catalog as the session sees it now.
    pub(super) fn catalog(&self, standing: &Standing) -> Catalog {
        let (Some(picture), Some(names)) = (&self.picture, &self.names) else {
            return blind(standing.database.name().as_str());
        };
        if self.prepared.is_empty() {
            return picture.of_session(&names.session);
        }
        // What a kept statement means is asked anew: the server does, too, when the search path or a definition changes.
        let without = picture.of_session(&names.session);
        let mut kept = BTreeMap::new();
        for (name, texts) in self.prepared.texts() {
            let atoms = texts.iter().flat_map(|text| {
                let read = standing.classifier.classify(text.as_bytes(), self.standard_strings, &without);
                read.statements.into_iter().flat_map(|statement| statement.atoms)
            });
            kept.insert(name.clone(), atoms.collect());
        }
        picture.of_session(&SessionNames { prepared: Arc::new(kept), ..names.session.clone() })
    }
}

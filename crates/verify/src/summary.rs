//! What a checked case says, in the report's words.

use domain::approval::{Approval, DeniedBy, Settled};
use domain::commitment::Disclosure;
use domain::id::ActionId;
use domain::principal::{Principal, Role};

use crate::case::{Case, Reviewed};
use crate::report::{Answer, Execution, LaterReview, Log, Part, Party, Review, State, Summary, What};

/// The summary of a case that holds; `log` says where its proof stands.
pub(crate) fn of(approval: ActionId, case: &Case, log: Log) -> Summary {
    let parts = case.action.parts();
    Summary {
        approval,
        state: state(case),
        asked_by: parties(case),
        asked_at: case.approval.case().requested,
        reason: parts.reason.clone(),
        what: what(case),
        payload: case.payload.iter().flatten().map(part).collect(),
        policy: case.evaluation.policy,
        rules: case.evaluation.rules.clone(),
        requirement: case.evaluation.requirement().cloned(),
        separation: case.evaluation.requirement().map(|requirement| requirement.separation),
        reviews: case.reviews.iter().map(|review| self::review(case, review)).collect(),
        later_review: later_review(case),
        awaits_later_review: case.approval.case().awaits_later_review(),
        answers: answers(case),
        execution: execution(case),
        log,
    }
}

fn state(case: &Case) -> State {
    if case.broken_at.is_some() {
        return State::Undetermined;
    }
    match &case.approval {
        Approval::Pending(_) => State::Pending,
        Approval::Approved(_) => State::Approved,
        Approval::Denied(denied) => {
            let (by, why) = match &denied.by {
                DeniedBy::Person(person, why) => (Some(*person), why.clone()),
                DeniedBy::Policy(why) => (None, Some(why.clone())),
            };
            State::Denied { by, why, at: denied.at }
        }
        Approval::Expired(ended) => State::Expired { at: ended.at },
        Approval::Cancelled(end) => State::Cancelled { by: end.by, why: end.reason.clone(), at: end.at },
        Approval::Executing(_) => State::Executing,
        Approval::Finished(_) => State::Finished,
    }
}

fn parties(case: &Case) -> Vec<Party> {
    let chain = case.action.chain();
    let caller = Party { principal: chain.caller, name: name(case, chain.caller), role: "caller".to_owned() };
    let behind = chain.behind.iter().map(|link| {
        let role = match link.role {
            Role::Sponsor => "sponsor",
            Role::Subject => "subject",
            Role::Delegate => "delegate",
            Role::Trigger => "trigger",
            Role::Editor => "editor",
        };
        Party { principal: link.party, name: name(case, link.party), role: role.to_owned() }
    });
    std::iter::once(caller).chain(behind).collect()
}

fn name(case: &Case, who: Principal) -> Option<String> {
    case.names.iter().find(|(named, _)| *named == who).map(|(_, name)| name.clone())
}

fn what(case: &Case) -> What {
    let parts = case.action.parts();
    What {
        digest: case.action.digest(),
        verb: parts.verb,
        group: parts.verb.group(),
        resource: parts.resource.name.clone(),
        environment: parts.resource.environment.clone(),
        labels: parts.resource.labels.clone(),
        target: parts.target.name.clone(),
        point: parts.point,
        level: parts.level,
        credential: parts.credential.as_ref().map(ToString::to_string),
        session: parts.session.clone(),
    }
}

fn part(field: &Disclosure) -> Part {
    match field {
        Disclosure::Withheld(commitment) => Part::Withheld { commitment: *commitment },
        Disclosure::Open(open) => match std::str::from_utf8(&open.value.0) {
            Ok(text) => Part::Text { path: open.path.clone(), text: text.to_owned() },
            Err(_) => Part::Binary { path: open.path.clone(), bytes: open.value.0.len() as u64 },
        },
    }
}

fn review(case: &Case, review: &Reviewed) -> Review {
    let statement = review.checked.statement();
    Review {
        person: statement.reviewer,
        name: name(case, Principal::Person(statement.reviewer)),
        verdict: statement.verdict,
        note: statement.note.clone(),
        group: statement.group.clone(),
        assurance: statement.assurance,
        at: review.at,
        entry: review.index,
        key: review.key.clone(),
        account: review.account.clone(),
        membership: review.membership.clone(),
        break_glass: statement.break_glass,
        counted: statement.verdict == domain::statement::Verdict::Approve
            && case.counted.contains(&statement.reviewer),
    }
}

fn later_review(case: &Case) -> Option<LaterReview> {
    let looked = case.later.as_ref()?;
    let statement = looked.checked.statement();
    Some(LaterReview {
        person: statement.reviewer,
        name: name(case, Principal::Person(statement.reviewer)),
        finding: statement.finding,
        note: statement.note.clone(),
        group: statement.group.clone(),
        at: looked.at,
        entry: looked.index,
        key: looked.key.clone(),
        membership: looked.membership.clone(),
    })
}

fn answers(case: &Case) -> Vec<Answer> {
    let questions = case.approval.case().questions.iter();
    let settled = questions.filter_map(|question| match question.settled.as_ref()? {
        Settled::Answered { by, text, at } => Some(Answer { by: *by, text: Some(text.clone()), at: *at }),
        Settled::Withdrawn(at) => {
            let by = Principal::Person(question.asked.statement.reviewer);
            Some(Answer { by, text: None, at: *at })
        }
    });
    let mut answers: Vec<_> = settled.collect();
    answers.sort_by_key(|answer| answer.at);
    answers
}

fn execution(case: &Case) -> Option<Execution> {
    let (grant, started, finished) = match &case.approval {
        Approval::Executing(running) => (running.grant, running.since, None),
        Approval::Finished(done) => (done.grant, done.started, Some((done.at, done.outcome.clone()))),
        Approval::Pending(_)
        | Approval::Approved(_)
        | Approval::Denied(_)
        | Approval::Expired(_)
        | Approval::Cancelled(_) => return None,
    };
    Some(Execution { grant, started, counted: case.counted.clone(), finished })
}

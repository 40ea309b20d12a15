//! The card out of the gateway's.

use domain::approval::{Approval, Case, Recorded};
use domain::principal::Principal;
use domain::requirement::{Assurance, Requirement};
use domain::review::Proof;
use domain::statement::Verdict;
use domain::verb::VerbGroup;
use gateway::Gateway;
use gateway::card::{self as shown, Shown, name_of};
use gateway::reveal::Viewer;
use gateway::store::Summary;

use super::shorten::shorten;
use super::{
    Actions, Approve, Audience, Card, Command, Effect, Exchange, Hold, LeftOut, Part, Party, Quorum,
    Reversible, Risk, Said, Shows, State, Tier, Vouched, What,
};
use crate::ChannelError;
use crate::limits::{COMMAND_BYTES, COMMAND_PARTS, CONFIRM_RISK, CONSOLE_RISK, QUESTIONS, WORDS_BYTES};

impl Card {
    /// The card of a request, as it stands, for a place.
    ///
    /// # Errors
    /// Store failures, and a route whose rules of masking cannot be read.
    pub async fn of(gateway: &Gateway, summary: &Summary, audience: &Audience) -> Result<Self, ChannelError> {
        let facts = gateway.card_for(summary, Viewer::Anybody).await?;
        let case = summary.approval.case();
        let commands = audience.shows == Shows::Command;
        let command = command(&facts, commands);
        let risk = risk(&facts);
        let state = state(gateway, summary);
        let words = |words: &Shown| shorten(words, WORDS_BYTES).0;
        let actions = actions(&facts, case, &command, &risk, audience, &state);
        let asked = facts.questions.iter().skip(facts.questions.len().saturating_sub(QUESTIONS));
        Ok(Self {
            approval: facts.id,
            version: case.version,
            made: gateway.now(),
            displayed: facts.digest()?,
            url: gateway.approval_url(facts.id),
            what: What {
                resource: words(&facts.resource),
                verb: facts.verb,
                target: facts.target,
                environment: facts.environment,
                production: facts.production,
            },
            risk,
            parties: facts.chain.iter().map(party).collect(),
            run: facts.run.as_ref().filter(|_| commands).map(words),
            command,
            effect: effect(summary),
            reason: facts.reason.as_ref().filter(|_| commands).map(words),
            questions: asked
                .map(|asked| Exchange {
                    by: asked.by.clone(),
                    question: words(&asked.question),
                    answer: asked.answer.as_ref().filter(|_| commands).map(words),
                    withdrawn: asked.withdrawn,
                })
                .collect(),
            requested: facts.requested,
            expires: facts.expires,
            holds: facts.requirement.iter().flat_map(|required| holds(required, case)).collect(),
            why_you: why_you(gateway, summary, audience),
            actions,
            state,
        })
    }
}

fn party(party: &shown::Party) -> Party {
    let kind = match party.principal {
        Principal::Agent(_) => "agent",
        Principal::Person(_) => "person",
    };
    Party { name: party.name.clone(), kind, role: party.role.clone(), vouched: Vouched::Verified }
}

fn risk(facts: &shown::Card) -> Risk {
    let score = facts.risk.score;
    let tier = if score >= CONSOLE_RISK {
        Tier::High
    } else if score >= CONFIRM_RISK {
        Tier::Medium
    } else {
        Tier::Low
    };
    Risk {
        score,
        tier,
        reasons: facts.risk.reasons.iter().map(|reason| (reason.points, reason.why.clone())).collect(),
        rules: facts.rules.iter().map(|rule| (rule.id.to_string(), rule.why.clone())).collect(),
    }
}

/// The command as far as it may stand in a place. A part that does not fit is not begun: half a command reads like
/// another one.
fn command(facts: &shown::Card, shows: bool) -> Command {
    let (mut parts, mut left_out, mut room) = (Vec::new(), None, COMMAND_BYTES);
    if shows {
        for part in &facts.payload {
            let fitting = part.text.as_ref().filter(|text| {
                let bytes: usize = super::visible(text).len().saturating_add(part.path.len());
                let fits = bytes <= room && parts.len() < COMMAND_PARTS;
                room = room.saturating_sub(bytes);
                fits
            });
            let missing = match fitting {
                Some(text) => {
                    parts.push(Part { path: part.path.clone(), text: text.clone() });
                    continue;
                }
                None if part.erased => LeftOut::Erased,
                None if part.base64.is_some() => LeftOut::NoText,
                None => LeftOut::TooLong,
            };
            left_out = left_out.or(Some(missing));
        }
        let whole = shorten(&facts.resource, WORDS_BYTES).1;
        left_out = left_out.or(whole.then_some(LeftOut::TooLong));
    } else {
        left_out = Some(LeftOut::Kept);
    }
    Command {
        parts,
        bytes: facts.payload_bytes,
        left_out,
        masked: facts.masked.iter().map(|field| (field.path.clone(), field.classes.clone())).collect(),
        digest: facts.action,
    }
}

fn effect(summary: &Summary) -> Effect {
    let (words, reversible) = match summary.action.parts().verb.group() {
        VerbGroup::Read => ("looks and changes nothing", Reversible::Yes),
        VerbGroup::Write => ("makes or changes something that can be changed back", Reversible::Yes),
        VerbGroup::Destroy => ("removes something; nothing here brings it back", Reversible::No),
        VerbGroup::Admin => {
            ("changes who may do what, or how the target itself behaves", Reversible::Unknown)
        }
        VerbGroup::Exec => ("runs code whose effect nobody here knows", Reversible::Unknown),
        VerbGroup::Export => ("takes data out in bulk; what is out stays out", Reversible::No),
    };
    Effect { words, reversible }
}

fn holds(requirement: &Requirement, case: &Case) -> Vec<Hold> {
    let tally = case.approvals();
    let hold = |hold: &domain::requirement::Hold| Hold {
        rule: hold.rule.to_string(),
        lifted: hold.is_lifted_by(&tally),
        any_of: hold
            .any_of
            .iter()
            .filter(|quorum| !quorum.break_glass)
            .map(|quorum| Quorum {
                group: quorum.group.to_string(),
                have: tally.have(quorum),
                need: quorum.count,
            })
            .collect(),
    };
    requirement.holds.iter().map(hold).collect()
}

fn why_you(gateway: &Gateway, summary: &Summary, audience: &Audience) -> Option<String> {
    let standing = gateway.standing(summary, audience.person?);
    match (standing.group, standing.why_not) {
        (Some(group), _) => Some(format!("you are in `{group}`, whose review it needs")),
        (None, why_not) => why_not,
    }
}

/// What can be done in the place. The first reason that stands against a click is the one that is told.
fn actions(
    facts: &shown::Card,
    case: &Case,
    command: &Command,
    risk: &Risk,
    audience: &Audience,
    state: &State,
) -> Actions {
    let waits = matches!(state.word, "pending" | "approved");
    let Some(requirement) = case.evaluation.requirement().filter(|_| waits) else { return Actions::OVER };
    let in_console =
        |why: &str, deny_and_ask| Actions { approve: Approve::InConsole(why.to_owned()), deny_and_ask };
    if !audience.decides {
        return in_console("decisions are made in the console", false);
    }
    if requirement.assurance > Assurance::Chat {
        return in_console("policy asks for a signature with your passkey", false);
    }
    if let Some(left_out) = command.left_out {
        let why = match left_out {
            LeftOut::Kept => "what exactly would run does not leave for this place",
            LeftOut::TooLong => "what exactly would run is too long to stand here whole",
            LeftOut::NoText => "what exactly would run is no text",
            LeftOut::Erased => "a part of it was erased",
        };
        return in_console(why, true);
    }
    if !facts.complete || !command.masked.is_empty() {
        return in_console("something in it is masked here; open it there first", true);
    }
    match risk.tier {
        Tier::High => in_console("its risk is high; it takes your passkey", true),
        Tier::Medium => Actions { approve: Approve::Confirm, deny_and_ask: true },
        Tier::Low => Actions { approve: Approve::Click, deny_and_ask: true },
    }
}

fn state(gateway: &Gateway, summary: &Summary) -> State {
    let case = summary.approval.case();
    let said = case.reviews.iter().chain(case.questions.iter().map(|question| &question.asked));
    let mut reviews: Vec<Said> = said.map(|review| verdict(gateway, summary, review)).collect();
    reviews.sort_by_key(|review| review.at);
    let (ended, why_not, outcome) = match &summary.approval {
        Approval::Pending(_) | Approval::Approved(_) | Approval::Executing(_) => (None, None, None),
        Approval::Denied(denied) => (Some(denied.at), Some(gateway.why_denied(summary, &denied.by)), None),
        Approval::Expired(ended) => (Some(ended.at), Some("nobody decided in time".to_owned()), None),
        Approval::Cancelled(cancelled) => {
            (Some(cancelled.at), Some(gateway.why_cancelled(summary, &cancelled.reason)), None)
        }
        Approval::Finished(finished) => (Some(finished.at), None, Some(finished.outcome.clone())),
    };
    let over = ended.is_some();
    State {
        word: summary.approval.word(),
        reviews,
        why_not: why_not.map(|why| shorten(&Shown::new(&why), WORDS_BYTES).0),
        ended,
        // The target's own words stay in the console: nobody has masked them.
        outcome: outcome.map(|outcome| domain::outcome::Outcome { detail: String::new(), ..outcome }),
        receipt: over.then(|| format!("{}/v1/approvals/{}/receipt", gateway.settings().public_url, case.id)),
    }
}

fn verdict(gateway: &Gateway, summary: &Summary, review: &Recorded) -> Said {
    let statement = &review.statement;
    let by = match &review.signed.proof {
        Proof::Passkey(_) => "passkey".to_owned(),
        Proof::SshSig(_) => "SSH key".to_owned(),
        Proof::Chat(proof) => proof.account.provider().to_owned(),
    };
    Said {
        person: statement.reviewer,
        name: name_of(Principal::Person(statement.reviewer), &gateway.directory()),
        verdict: match statement.verdict {
            Verdict::Approve => "approved",
            Verdict::Deny => "denied",
            Verdict::Ask => "asked",
        },
        at: review.at,
        by,
        broke_glass: statement.break_glass,
        dismissed: review.dismissed.is_some(),
        note: statement
            .note
            .as_deref()
            .map(|note| shorten(&Shown::new(&gateway.shown_words(summary, note)), WORDS_BYTES).0),
    }
}

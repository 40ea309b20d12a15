//! `countersign show ID`: the card in the terminal, in the order in which a reviewer decides.

use domain::time::Timestamp;
use domain::verb::{Verb, VerbGroup};
use serde_json::Value;

use super::{Context, lookup};
use crate::cli::Ending;
use crate::output::{Cell, Output, Tone, one_line, quoted, relative, when};

/// How many lines of one part are shown; the rest is in the console.
const PART_LINES: usize = 40;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The request: its id, or the beginning or end of it
    id: String,
}

pub(crate) async fn run(options: &Options, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let id = lookup::approval(&client, &options.id).await?;
    let approval = client.get(&format!("/v1/approvals/{id}")).await?;
    if context.output.json {
        context.output.json(&approval);
    } else {
        Sheet { output: context.output, approval: &approval, lines: PART_LINES }.print();
    }
    Ok(Ending::Fine)
}

/// The card with all that stands in it, for somebody who decides here.
pub(crate) fn print_whole(output: Output, approval: &Value) {
    Sheet { output, approval, lines: usize::MAX }.print();
}

/// A rule in its author's words, behind its name.
pub(crate) fn rule(rule: &Value) -> String {
    let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{} ({})", text("why"), text("id"))
}

/// A hold's alternatives, each with how far it has come: `1/2 dba`.
pub(crate) fn alternatives(hold: &Value) -> Vec<String> {
    let have = list(hold.get("have")).map(|have| have.as_u64().unwrap_or(0));
    let quorum = |(quorum, have): (&Value, u64)| {
        let need = quorum.get("count").and_then(Value::as_u64).unwrap_or(0);
        let glass = quorum.get("break_glass").and_then(Value::as_bool).unwrap_or(false);
        format!("{have}/{need} {}{}", text(quorum, "group"), if glass { " by break-glass" } else { "" })
    };
    list(hold.get("any_of")).zip(have).map(quorum).collect()
}

/// Words that came in pieces: what is hidden is named, what only looks like something else is marked.
pub(crate) fn shown(value: Option<&Value>) -> Option<String> {
    let pieces = value?.get("pieces")?.as_array()?;
    let piece = |piece: &Value| {
        let text = piece.get("text").and_then(Value::as_str).unwrap_or_default();
        match piece.get("kind").and_then(Value::as_str) {
            Some("hidden") => format!("⟨{text}⟩"),
            Some("mixed") => format!("⟨mixed scripts: {text}⟩"),
            // Read once more: the terminal is ours to guard, whatever the gateway found.
            _ => domain::text::visible(text),
        }
    };
    Some(pieces.iter().map(piece).collect())
}

/// One approval on its way to the terminal.
struct Sheet<'a> {
    output: Output,
    approval: &'a Value,
    /// How many lines of one part are shown.
    lines: usize,
}

impl Sheet<'_> {
    fn print(&self) {
        self.what();
        self.risk();
        self.who();
        self.payload();
        self.effect();
        self.reason();
        self.time_and_people();
        self.afterwards();
        self.questions();
        self.end();
    }

    fn what(&self) {
        let state = self.text("state");
        let resource = shown(self.card("resource")).unwrap_or_default();
        let head = format!("{}  {}", one_line(&self.card_text("verb")), resource.replace('\n', "⏎"));
        self.output.line(&self.output.paint(&head, Tone::Bold));
        let production = self.card("production").and_then(Value::as_bool).unwrap_or(false);
        let place = if production { Tone::Bad } else { Tone::Plain };
        let mut environment = self.card_text("environment");
        if production && !matches!(environment.as_str(), "prod" | "production") {
            environment.push_str(" (production)");
        }
        self.output.pairs(&[
            ("state     ", Cell::toned(&state, Tone::of_state(&state))),
            ("target", self.card_text("target").into()),
            ("in", Cell::toned(environment, place)),
            ("id", self.text("id").into()),
        ]);
    }

    fn risk(&self) {
        self.gap();
        if let Some(risk) = self.card("risk") {
            let score = risk.get("score").and_then(Value::as_i64).unwrap_or(0);
            let why: Vec<String> = list(risk.get("reasons"))
                .map(|reason| {
                    let points = reason.get("points").and_then(Value::as_i64).unwrap_or(0);
                    format!("{} {points:+}", text(reason, "why"))
                })
                .collect();
            let tone = if score >= 70 {
                Tone::Bad
            } else if score >= 40 {
                Tone::Warn
            } else {
                Tone::Plain
            };
            let why = if why.is_empty() { String::new() } else { format!("  ({})", why.join(", ")) };
            self.pair("risk", Cell::toned(format!("{score} of 100{why}"), tone));
        }
        for held in list(self.card("rules")) {
            self.pair("held by", rule(held).into());
        }
    }

    fn who(&self) {
        self.gap();
        for party in list(self.card("chain")) {
            let kind = text(party, "principal");
            let kind = kind.split_once(':').map_or("", |(kind, _)| kind);
            let role = text(party, "role");
            let role = if role == "caller" { "asked by" } else { role.as_str() };
            self.pair(role, format!("{} ({kind}, verified)", text(party, "name")).into());
        }
        if let Some(run) = shown(self.card("run")) {
            self.pair("run", format!("{run} (claimed)").into());
        }
        if let Some(credential) = self.card("credential").and_then(Value::as_str) {
            self.pair("credential", format!("{credential}, which only the gateway holds").into());
        }
        if self.card_text("level") == "cooperative" {
            self.pair("level", Cell::toned("cooperative: the caller could go round the gateway", Tone::Warn));
        }
    }

    fn payload(&self) {
        self.gap();
        let bytes = self.card("payload_bytes").and_then(Value::as_u64).unwrap_or(0);
        self.pair("payload", format!("{bytes} bytes, action {}", self.card_text("action")).into());
        for part in list(self.card("payload")) {
            self.part(part);
        }
        if self.card("complete").and_then(Value::as_bool) == Some(false) {
            self.pair("", Cell::toned("not all of it stands here; open it whole in the console", Tone::Warn));
        }
    }

    fn part(&self, part: &Value) {
        let flag = |name: &str| part.get(name).and_then(Value::as_bool).unwrap_or(false);
        let path = one_line(&text(part, "path"));
        let content = shown(part.get("text"));
        match (content, part.get("base64").and_then(Value::as_str)) {
            (Some(content), _) if !content.contains('\n') && content.chars().count() <= 100 => {
                self.pair("", format!("{path} = {content}").into());
            }
            (Some(content), _) => {
                self.pair("", format!("{path} =").into());
                let lines = quoted(&content);
                for line in lines.iter().take(self.lines) {
                    self.output.line(&format!("            {line}"));
                }
                if lines.len() > self.lines {
                    let more = lines.len() - self.lines;
                    self.pair(
                        "",
                        Cell::toned(format!("{more} more lines: see the console, or --json"), Tone::Warn),
                    );
                }
            }
            (None, Some(base64)) => self.pair("", format!("{path} = base64 {base64}").into()),
            (None, None) if flag("erased") => self.pair("", format!("{path}: erased").into()),
            (None, None) => {
                let bytes = part.get("bytes").and_then(Value::as_u64).unwrap_or(0);
                self.pair("", Cell::toned(format!("{path}: {bytes} bytes, left out here"), Tone::Warn));
            }
        }
    }

    fn effect(&self) {
        let Ok(verb) = self.card_text("verb").parse::<Verb>() else { return };
        let (words, tone) = match verb.group() {
            VerbGroup::Read => ("looks and changes nothing", Tone::Plain),
            VerbGroup::Write => ("makes or changes something that can be changed back", Tone::Plain),
            VerbGroup::Destroy => ("removes something; nothing here brings it back", Tone::Warn),
            VerbGroup::Admin => ("changes who may do what, or how the target itself behaves", Tone::Warn),
            VerbGroup::Exec => ("runs code whose effect nobody here knows", Tone::Warn),
            VerbGroup::Export => ("takes data out in bulk; what is out stays out", Tone::Warn),
        };
        self.gap();
        self.pair("effect", Cell::toned(words, tone));
    }

    fn reason(&self) {
        if let Some(reason) = shown(self.card("reason")) {
            self.gap();
            self.pair("reason", Cell::toned("in the caller's words, which nobody has checked", Tone::Dim));
            self.quote(&reason);
        }
    }

    fn time_and_people(&self) {
        self.gap();
        let at = |value: Option<&Value>| value.and_then(Value::as_u64).map(Timestamp::from_micros);
        let state = self.text("state");
        if let Some(requested) = at(self.card("requested")) {
            self.pair("asked", format!("{} ({})", when(requested), relative(requested)).into());
        }
        if let Some(deadline) = at(self.approval.get("deadline"))
            && matches!(state.as_str(), "pending" | "approved")
        {
            self.pair("expires", format!("{} ({})", relative(deadline), when(deadline)).into());
        }
        for hold in list(self.approval.get("progress")) {
            let lifted = hold.get("lifted").and_then(Value::as_bool).unwrap_or(false);
            let words = format!("{} ({})", alternatives(hold).join(" or "), text(hold, "rule"));
            self.pair("approvals", Cell::toned(words, if lifted { Tone::Good } else { Tone::Warn }));
        }
        for review in list(self.approval.get("reviews")) {
            let name = review.get("reviewer").map(|reviewer| text(reviewer, "name")).unwrap_or_default();
            let group = review.get("group").and_then(Value::as_str).map(|group| format!(" for {group}"));
            let at = review.get("at").and_then(Value::as_u64).map(Timestamp::from_micros).map(when);
            let glass = review.get("break_glass").and_then(Value::as_bool).unwrap_or(false);
            let verdict = match text(review, "verdict").as_str() {
                "approve" if glass => "approved ALONE, by break-glass,",
                "approve" => "approved",
                "deny" => "denied",
                _ => "asked",
            };
            let words = format!("{name} {verdict}{}, {}", group.unwrap_or_default(), at.unwrap_or_default());
            self.pair("review", words.into());
            if let Some(note) = shown(review.get("note")) {
                self.quote(&note);
            }
        }
        if let Some(standing) = self.approval.get("standing").filter(|standing| !standing.is_null()) {
            self.pair("you", standing_words(standing).into());
        }
    }

    /// What somebody found who looked at broken glass, or that nobody has.
    fn afterwards(&self) {
        if let Some(later) = self.approval.get("later_review") {
            let name = later.get("reviewer").map(|reviewer| text(reviewer, "name")).unwrap_or_default();
            let at = later.get("at").and_then(Value::as_u64).map(Timestamp::from_micros).map(when);
            let finding = text(later, "finding");
            let tone = if finding == "justified" { Tone::Good } else { Tone::Bad };
            let (group, at) = (text(later, "group"), at.unwrap_or_default());
            let words = format!("{name} for {group} found it {}, {at}", finding.replace('-', " "));
            self.pair("afterwards", Cell::toned(words, tone));
            self.quote(&shown(later.get("note")).unwrap_or_default());
        } else if self.approval.get("awaits_later_review").and_then(Value::as_bool) == Some(true) {
            let words = "BREAK-GLASS: nobody has looked at it since (`countersign look-back`)";
            self.pair("afterwards", Cell::toned(words, Tone::Bad));
        }
    }

    fn questions(&self) {
        for question in list(self.card("questions")) {
            self.gap();
            let id = text(question, "id");
            self.pair("question", format!("{} asks ({id}):", text(question, "by")).into());
            self.quote(&shown(question.get("question")).unwrap_or_default());
            let withdrawn = question.get("withdrawn").and_then(Value::as_bool).unwrap_or(false);
            match shown(question.get("answer")) {
                Some(answer) => {
                    self.pair(
                        "answer",
                        Cell::toned("in the caller's words, which nobody has checked", Tone::Dim),
                    );
                    self.quote(&answer);
                }
                None if withdrawn => self.pair("", Cell::toned("taken back", Tone::Dim)),
                None => self.pair(
                    "",
                    Cell::toned("open: nothing runs until it is answered or taken back", Tone::Warn),
                ),
            }
        }
    }

    fn end(&self) {
        if let Some(why) = self.approval.get("why_not").and_then(Value::as_str) {
            self.gap();
            self.pair("why not", Cell::toned(why, Tone::Bad));
        }
        if let Some(outcome) = self.approval.get("outcome").filter(|outcome| !outcome.is_null()) {
            self.gap();
            let ending = text(outcome, "ending");
            let words = format!("{ending}: {} ({})", text(outcome, "detail"), text(outcome, "witnessed"));
            self.pair("outcome", Cell::toned(words, Tone::of_state(&ending)));
        }
        let id = self.text("id");
        self.gap();
        match self.text("state").as_str() {
            "pending" | "approved" => {
                let url = self.text("approval_url");
                self.pair("decide", format!("countersign approve|deny|ask {id}").into());
                if !url.is_empty() {
                    self.pair("", url.into());
                }
            }
            _ => self.pair("proof", format!("countersign audit receipt {id} -o receipt.json").into()),
        }
    }

    fn quote(&self, text: &str) {
        for line in quoted(text) {
            self.output.line(&format!("            {line}"));
        }
    }

    fn pair(&self, name: &str, cell: Cell) {
        self.output.pairs(&[(&format!("{name:10}"), cell)]);
    }

    fn gap(&self) {
        self.output.line("");
    }

    fn card(&self, name: &str) -> Option<&Value> {
        let card = self.approval.get("card").unwrap_or(self.approval);
        card.get(name).filter(|value| !value.is_null())
    }

    fn card_text(&self, name: &str) -> String {
        self.card(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn text(&self, name: &str) -> String {
        text(self.approval, name)
    }
}

fn standing_words(standing: &Value) -> String {
    let may = |name: &str| standing.get(name).and_then(Value::as_bool).unwrap_or(false);
    let why_not = standing.get("why_not").and_then(Value::as_str);
    match (may("may_approve"), may("may_deny")) {
        (true, _) => match standing.get("group").and_then(Value::as_str) {
            Some(group) => format!("may approve, counted under {group}"),
            None => "may approve".to_owned(),
        },
        (false, true) => format!("may deny only: {}", why_not.unwrap_or("you may not approve")),
        (false, false) => format!("may look only: {}", why_not.unwrap_or("nobody asks you")),
    }
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

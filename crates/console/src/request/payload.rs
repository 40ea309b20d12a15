//! The exact bytes: the request line first and loud, headers folded, everything else in full. Each part
//! stands here once and whole, and each open one ends with a marker that must have been on the screen before
//! anybody can approve.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::commitment::Disclosure;
use gateway::card::{MaskedField, Part, Shown};
use gateway::reveal::Revealed;
use maud::{Markup, html};

use crate::{limits, words};

const METHOD: &str = "http.method";
const AUTHORITY: &str = "http.authority";
const TARGET: &str = "http.target";
const HEADER: &str = "http.header.";
const BODY: &str = "http.body";
const BODY_STREAMS: &str = "http.body-streams";

/// The parts of a payload that was opened whole.
pub(crate) fn parts(fields: &[Disclosure]) -> Vec<Part> {
    fields
        .iter()
        .map(|field| match field {
            Disclosure::Open(open) => {
                let text = std::str::from_utf8(&open.value.0).ok();
                Part {
                    path: open.path.clone(),
                    bytes: open.value.0.len() as u64,
                    text: text.map(Shown::new),
                    base64: text.is_none().then(|| STANDARD.encode(&open.value.0)),
                    cut: false,
                    erased: false,
                }
            }
            Disclosure::Withheld(_) => Part {
                path: "erased".to_owned(),
                bytes: 0,
                text: None,
                base64: None,
                cut: true,
                erased: true,
            },
        })
        .collect()
}

/// All parts of a payload. `displayed` is the card's digest, where showing them changed it.
pub(crate) fn whole(parts: &[Part], displayed: Option<&str>) -> Markup {
    let named = |name: &str| parts.iter().find(|part| part.path == name);
    let line = (named(METHOD), named(AUTHORITY), named(TARGET));
    let is_line = |part: &&Part| matches!(part.path.as_str(), METHOD | AUTHORITY | TARGET);
    let headers: Vec<&Part> = parts.iter().filter(|part| part.path.starts_with(HEADER)).collect();
    let marks = words::warning(parts.iter().filter_map(|part| part.text.as_ref()));
    html! {
        div.payload id="payload-parts" data-displayed=[displayed] {
            @if let Some(marks) = marks {
                p.banner data-tone="bad" {
                    strong { "Not everything here is what it looks like: " } (marks) ". "
                    "What does not show stands in a red box, by its Unicode name."
                }
            }
            @if let (Some(method), Some(authority), Some(target)) = line {
                (request_line(method, authority, target))
            } @else {
                @for part in parts.iter().filter(is_line) { (part_view(part)) }
            }
            @if !headers.is_empty() { (header_view(&headers)) }
            @for part in parts.iter().filter(|part| !is_line(part) && !part.path.starts_with(HEADER)) {
                (part_view(part))
            }
        }
    }
}

/// One field that was masked, as it really is.
pub(crate) fn revealed(field: &Revealed) -> Markup {
    let text = std::str::from_utf8(&field.value).ok().map(Shown::new);
    let marks = words::warning(text.iter());
    html! {
        div.revealed id="revealed" data-displayed=(field.displayed) {
            @if let Some(marks) = marks { p.warn { "It holds " (marks) "." } }
            @match &text {
                Some(text) => { pre.bytes tabindex="0" aria-label={ (field.path) ", as it is" } { (words::pieces(text)) (end()) } },
                None => { pre.bytes.hex tabindex="0" { (hexdump(&STANDARD.encode(&field.value))) (end()) } },
            }
        }
    }
}

/// What is masked, field by field, each with a button that opens it for those who may.
pub(crate) fn masked(fields: &[MaskedField], revealed: &[String], may_reveal: bool) -> Markup {
    html! {
        @if !fields.is_empty() {
            div.banner data-tone="plain" id="masked" {
                p {
                    strong { "Masked here. " }
                    "What runs are the real bytes, and the digest covers them. "
                    @if may_reveal { "You may open each field; that you did is logged." }
                    @else { "You are not among those who may open it, so you cannot approve." }
                }
                ul {
                    @for field in fields {
                        li {
                            code { (words::outside(&field.path)) } " " span.dim { (field.classes.join(", ")) } " "
                            @if may_reveal {
                                button.quiet type="button" data-do="reveal" data-field=(field.path)
                                    aria-label={ "Show " (field.path) } { "Show" }
                            }
                            @if revealed.contains(&field.path) { " " span.dim { "opened by you before" } }
                        }
                    }
                }
            }
        }
    }
}

fn request_line(method: &Part, authority: &Part, target: &Part) -> Markup {
    html! {
        div.request-line {
            pre.bytes tabindex="0" aria-label="Request line" {
                b.method { (value(method)) } " " span.target { (value(target)) }
            }
            p.to { "to " code { (value(authority)) } }
            (end())
        }
    }
}

fn header_view(headers: &[&Part]) -> Markup {
    let odd = headers.iter().any(|part| part.text.as_ref().is_none_or(|text| text.suspicious));
    html! {
        details.headers open[odd] {
            summary { (words::counted(headers.len(), "header")) }
            dl {
                @for part in headers {
                    dt { (words::outside(header_name(&part.path))) }
                    dd { (value(part)) }
                }
            }
        }
    }
}

fn header_name(path: &str) -> &str {
    let numbered = path.strip_prefix(HEADER).and_then(|rest| rest.split_once('.'));
    numbered.map_or(path, |(_, name)| name)
}

fn value(part: &Part) -> Markup {
    match (&part.text, &part.base64) {
        (Some(text), _) => words::pieces(text),
        (None, Some(base64)) => html! { span.dim { "not text, base64: " } (base64) },
        (None, None) => absent(part),
    }
}

fn absent(part: &Part) -> Markup {
    html! {
        @if part.erased { span.dim { "erased from the store; nobody can review what is gone" } }
        @else { span.dim { (words::size(part.bytes)) " that do not fit here" } }
    }
}

/// One part in full: its exact bytes, and beside them, where it is JSON, the same laid out.
fn part_view(part: &Part) -> Markup {
    if part.path == BODY && part.bytes == 0 {
        return html! { p.dim { "No body." } };
    }
    if part.path == BODY_STREAMS {
        return html! { p.banner data-tone="bad" { "The body streams through unread. Nobody can see what they approve." } };
    }
    let name = if part.path == BODY { "Body" } else { part.path.as_str() };
    let laid_out = laid_out(part);
    let id =
        |which: &str| format!("{which}-{}", part.path.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    html! {
        section.part aria-label=(name) {
            header {
                h3 { (words::outside(name)) }
                span.dim { (words::size(part.bytes)) }
            }
            @match (&part.text, &part.base64) {
                (Some(text), _) => {
                    @if let Some(laid_out) = &laid_out {
                        input.pick-exact type="radio" name=(id("view")) id=(id("exact")) checked;
                        label for=(id("exact")) { "Exact bytes" }
                        input.pick-laid type="radio" name=(id("view")) id=(id("laid")) ;
                        label for=(id("laid")) { "Laid out" }
                        div.laid {
                            p.dim.fine { "The same JSON with line breaks and sorted keys, to read. What runs are the exact bytes." }
                            pre.bytes tabindex="0" { (words::pieces(laid_out)) }
                        }
                    }
                    div.exact { pre.bytes tabindex="0" { (words::pieces(text)) (end()) } }
                },
                (None, Some(base64)) => {
                    p.dim.fine { "These bytes are no text. Offset, bytes, and what of them is ASCII:" }
                    div.exact { pre.bytes.hex tabindex="0" { (hexdump(base64)) (end()) } }
                },
                (None, None) => { p { (absent(part)) } },
            }
        }
    }
}

/// What must have been on the screen.
fn end() -> Markup {
    html! { span.end data-end aria-hidden="true" {} }
}

fn laid_out(part: &Part) -> Option<Shown> {
    let text = words::original(part.text.as_ref()?)?;
    if text.len() > limits::LAID_OUT_BYTES {
        return None;
    }
    let value = domain::canonical::read_value(text.as_bytes()).ok()?;
    if !(value.is_object() || value.is_array()) {
        return None;
    }
    let laid_out = serde_json::to_string_pretty(&value).ok()?;
    (laid_out != text).then(|| Shown::new(&laid_out))
}

fn hexdump(base64: &str) -> String {
    let Ok(bytes) = STANDARD.decode(base64) else { return base64.to_owned() };
    let line = |(n, chunk): (usize, &[u8])| {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let ascii = chunk.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' });
        format!("{:06x}  {:<23}  {}", n * 8, hex.join(" "), ascii.collect::<String>())
    };
    let lines: Vec<String> = bytes.chunks(8).enumerate().map(line).collect();
    lines.join("\n")
}

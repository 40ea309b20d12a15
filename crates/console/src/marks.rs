//! The small marks that several rooms show: verb, environment, risk, progress.

use domain::requirement::Progress;
use domain::verb::VerbGroup;
use maud::{Markup, html};

use crate::limits;

/// The word with its first letter as a capital.
pub(crate) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// Which reviews are missing: filled circles for those that came.
pub(crate) fn progress(missing: &[Progress]) -> Markup {
    html! {
        @for part in missing {
            span.progress {
                span.circles aria-hidden="true" {
                    @for n in 0..part.need.min(5) { span.circle data-full[n < part.have] {} }
                }
                " " (part.have) " of " (part.need) " " span.dim { (part.group) }
            }
        }
    }
}

/// The verb, coloured by what kind of effect it has.
pub(crate) fn verb_chip(verb: &str, group: VerbGroup) -> Markup {
    html! { span.verb data-group=(group.as_str()) { (verb) } }
}

/// Where it stands; production is loud.
pub(crate) fn environment_badge(environment: &str, production: bool) -> Markup {
    html! { span.env data-production[production] { (environment) @if production && !matches!(environment, "prod" | "production") { " · production" } } }
}

/// The score and its bar.
pub(crate) fn risk_meter(score: i64) -> Markup {
    html! {
        span.risk data-level=(level(score)) {
            span.visually-hidden { "Risk " }
            b { (score) }
            svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                rect.track width="100" height="6" rx="3" {}
                rect.fill width=(score.clamp(0, 100)) height="6" rx="3" {}
            }
        }
    }
}

pub(crate) fn level(score: i64) -> &'static str {
    if score >= limits::HIGH_RISK {
        "high"
    } else if score >= limits::RAISED_RISK {
        "raised"
    } else {
        "low"
    }
}

/// A button that copies an element's text.
pub(crate) fn copy_button(id: &str) -> Markup {
    html! { button.quiet type="button" data-copy=(id) { "Copy" } }
}

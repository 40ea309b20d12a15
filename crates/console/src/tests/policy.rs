//! What the content security policy forbids stands in no page, and every answer carries it.

use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};

use super::pages;
use crate::{assets, guard};

/// The attributes of every tag of a page.
fn tags(page: &str) -> impl Iterator<Item = &str> {
    page.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag)
}

#[test]
fn no_page_has_inline_script_style_or_handlers() {
    for (name, page) in pages::all() {
        for tag in tags(&page) {
            let lower = tag.to_ascii_lowercase();
            assert!(!lower.starts_with("style"), "{name}: {tag}");
            assert!(!lower.contains(" style="), "{name}: {tag}");
            assert!(!lower.contains("javascript:"), "{name}: {tag}");
            // Every second piece between quotes is a value.
            let names: String = lower.split('"').step_by(2).collect();
            assert!(
                !names.split_whitespace().skip(1).any(|attribute| attribute.starts_with("on")),
                "{name}: {tag}"
            );
            if lower.starts_with("script") {
                assert!(lower.contains("src=\"/static/"), "{name}: {tag}");
            }
            for (_, address) in [" src=\"", " href=\""].iter().filter_map(|at| lower.split_once(at)) {
                assert!(address.starts_with(['/', '#']) && !address.starts_with("//"), "{name}: {tag}");
            }
        }
        for (_, body) in page.match_indices("<script").filter_map(|(at, _)| page[at..].split_once('>')) {
            assert!(body.starts_with("</script>"), "{name}: a script has a body");
        }
    }
}

#[test]
fn no_script_makes_markup_of_a_string() {
    for (name, _, text) in assets::FILES {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
        ] {
            assert!(!text.contains(sink), "{name}: {sink}");
        }
        assert!(!text.contains("http://") || name == "favicon.svg", "{name} names another host");
        assert!(
            !text.contains("https://") && !text.contains("@import") && !text.contains("url("),
            "{name} loads something"
        );
    }
}

#[test]
fn nothing_hidden_reaches_a_page_unmarked() {
    for (name, page) in pages::all() {
        let hidden = |c: char| !domain::text::is_plain(&c.to_string()) && !matches!(c, '\n' | '\t');
        assert_eq!(page.chars().find(|c| hidden(*c)), None, "{name}");
        assert!(!page.contains("<script>alert"), "{name}");
    }
}

#[tokio::test]
async fn every_answer_is_hardened() {
    let kept = guard::harden(([(CACHE_CONTROL, "public")], "x").into_response()).await;
    let page: Response = guard::harden("x".into_response()).await;
    for response in [&kept, &page] {
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        for needed in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(needed), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    }
    assert_eq!(kept.headers()[CACHE_CONTROL], "public");
    assert_eq!(page.headers()[CACHE_CONTROL], "no-store");
}

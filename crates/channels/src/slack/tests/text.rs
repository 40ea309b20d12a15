use proptest::prelude::*;

use super::super::text::{Markup, Text, code_blocks, escaped, fit, units};

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[test]
fn nothing_is_cut_within_a_character_or_an_entity() {
    for (text, limit, expected) in [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("&&", 10, "&amp;&amp;"),
        ("&&", 9, "&amp;…"),
        ("&&", 6, "&amp;…"),
        ("&&", 5, "…"),
        ("a<b", 6, "a&lt;b"),
        ("a<b>", 8, "a&lt;b…"),
        // A letter outside the basic plane counts two.
        ("𝔸𝔸", 4, "𝔸𝔸"),
        ("𝔸𝔸", 3, "𝔸…"),
        ("e\u{301}e\u{301}", 3, "e\u{301}…"),
    ] {
        assert_eq!(fit(&escaped(text), limit).0, expected, "{text} within {limit}");
    }
}

#[test]
fn strangers_words_format_and_mention_nothing() {
    let hostile = "<!channel> *Approved* by `Ann` <https://evil.example|console> & _so_ ~on~\n>quote";
    insta::assert_json_snapshot!([
        serde_json::to_value(Text::<3000>::plain(hostile)).unwrap(),
        serde_json::to_value(Text::<3000>::markup(&Markup::new("*ours* ").code(hostile))).unwrap(),
        serde_json::to_value(Text::<3000>::markup(&Markup::new("*ours* ").words(hostile))).unwrap(),
    ]);
}

#[test]
fn what_would_end_a_code_block_is_shown_in_none() {
    for text in ["a```b", "```", "`a", "a`"] {
        assert_eq!(code_blocks(text, 3_000), None, "{text}");
    }
    for text in ["a`b`c", "a``b", "*a* <!here>", ""] {
        assert!(code_blocks(text, 3_000).is_some(), "{text}");
    }
}

proptest! {
    #[test]
    fn a_text_fits_and_begins_as_it_was(text in ".{0,400}", limit in 1_usize..200) {
        let (kept, whole) = fit(&escaped(&text), limit);
        prop_assert!(units(&kept) <= limit);
        prop_assert_eq!(whole, units(&escaped(&text)) <= limit);
        let kept = if whole { kept.as_str() } else { kept.strip_suffix('…').unwrap() };
        prop_assert!(text.starts_with(&unescaped(kept)), "{kept} of {text}");
    }

    #[test]
    fn no_control_character_of_slacks_is_left(text in ".*") {
        let all = escaped(&text);
        prop_assert!(!all.contains(['<', '>']));
        for (at, _) in all.match_indices('&') {
            prop_assert!(["&amp;", "&lt;", "&gt;"].iter().any(|entity| all[at..].starts_with(entity)));
        }
        prop_assert_eq!(unescaped(&all), text);
    }

    #[test]
    fn a_code_block_shows_every_character(text in "[a-z&<>\n `]{1,400}", limit in 40_usize..120) {
        if let Some(blocks) = code_blocks(&text, limit) {
            let mut all = String::new();
            for block in &blocks {
                let value = serde_json::to_value(Text::<3000>::markup(block)).unwrap();
                let shown = value["text"].as_str().unwrap().to_owned();
                prop_assert!(units(&shown) <= limit);
                all.push_str(shown.strip_prefix("```\n").unwrap().strip_suffix("\n```").unwrap());
            }
            prop_assert_eq!(unescaped(&all), text);
        }
    }
}

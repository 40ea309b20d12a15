//! A route's own rules.

use crate::{Masker, Rules, RulesError};

fn rules(text: &str) -> Rules {
    toml::from_str(text).unwrap()
}

fn shown(rules: &Rules, text: &str) -> String {
    Masker::new(rules).unwrap().mask(None, text.as_bytes()).to_string()
}

#[test]
fn names_paths_and_patterns_mask() {
    let named = rules("names = [\"customer_name\", \"notes\"]");
    assert_eq!(
        shown(&named, r#"{"customerName":"Ann","notes":["a",{"b":1}],"id":1}"#),
        r#"{"customerName":"[masked: by rule]","notes":"[masked: by rule]","id":1}"#
    );
    assert_eq!(shown(&named, "customer-name=Ann&id=1"), "customer-name=[masked: by rule]&id=1");
    assert_eq!(shown(&named, "Customer-Name: Ann"), "Customer-Name: [masked: by rule]");
    let paths = rules("paths = [\"/people/*/age\"]");
    assert_eq!(
        shown(&paths, r#"{"people":[{"age":41,"x":1}],"age":2}"#),
        r#"{"people":[{"age":"[masked: by rule]","x":1}],"age":2}"#
    );
    let patterns = rules("patterns = [{ name = \"case\", regex = 'CASE-\\d+' }]");
    assert_eq!(shown(&patterns, "see CASE-123 and CASE-9"), "see [masked: by rule] and [masked: by rule]");
}

#[test]
fn what_should_have_paths_and_cannot_be_read_is_masked_whole() {
    assert_eq!(shown(&rules("paths = [\"/a\"]"), r#"{"a": 1,}"#), "[masked: by rule]");
    assert_eq!(shown(&Rules::default(), r#"{"a": 1,}"#), r#"{"a": 1,}"#);
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    assert_eq!(shown(&rules("paths = [\"/a\"]"), &deep), "[masked: by rule]");
}

#[test]
fn classes_and_places_are_let_stand() {
    assert_eq!(shown(&rules("off = [\"email\"]"), "a@b.org +49 30 1234567"), "a@b.org [masked: phone]");
    assert_eq!(
        shown(&rules("on = [\"ip\"]"), "from 10.1.2.3 and 2001:db8::1"),
        "from [masked: IP address] and [masked: IP address]"
    );
    let keep = rules("keep = [\"/id\"]");
    assert_eq!(
        shown(&keep, r#"{"id":4111111111111111,"x":4111111111111111}"#),
        r#"{"id":4111111111111111,"x":"[masked: card …1111]"}"#
    );
    assert_eq!(shown(&rules("last_four = false"), "4111111111111111"), "[masked: card]");
}

#[test]
fn rules_that_mean_nothing_are_refused_in_words() {
    let refused = |text: &str| Masker::new(&rules(text)).unwrap_err().to_string();
    assert_eq!(
        refused("paths = [\"a/b\"]"),
        "the path `a/b` in `paths` is no JSON pointer; write it as `/customer/*/ssn`"
    );
    assert!(refused("paths = [\"/a~2\"]").contains("no JSON pointer"));
    assert!(
        refused("patterns = [{ name = \"x\", regex = \"(\" }]").starts_with("the pattern `x` cannot be used")
    );
    assert!(refused("patterns = [{ name = \"x\", regex = \"a*\" }]").contains("matches an empty text"));
    assert!(
        refused("patterns = [{ name = \"x\", regex = \"(\\\\w{1000}){1000}\" }]").contains("cannot be used")
    );
    assert!(refused("off = [\"rule\"]").contains("cannot be switched"));
    assert!(refused("off = [\"ip\"]\non = [\"ip\"]").contains("in `on` and in `off`"));
    assert!(refused("paths = [\"/a\"]\nkeep = [\"/a\"]").contains("take it out of one"));
    assert!(refused("names = [\"\"]").contains("1 to 512 bytes"));
    let many: Vec<String> = (0..65).map(|n| format!("n{n}")).collect();
    assert_eq!(
        Masker::new(&Rules { names: many, ..Rules::default() }).unwrap_err(),
        RulesError::TooMany("names")
    );
    assert!(toml::from_str::<Rules>("nmaes = []").is_err(), "an unknown field");
    assert!(toml::from_str::<Rules>("off = [\"mails\"]").is_err(), "an unknown class");
}

#[test]
fn rules_are_written_as_they_are_read() {
    let text = "names = [\"a\"]\nreveal = \"dba\"\n";
    let rules = rules(text);
    assert_eq!(toml::to_string(&rules).unwrap(), text);
    assert_eq!(serde_json::to_string(&Rules::default()).unwrap(), "{}");
}

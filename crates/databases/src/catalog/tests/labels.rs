//! What comments and labels say.

use super::super::labels::{security, words};

#[test]
fn a_comment_says_classes_behind_its_mark() {
    for (comment, expected) in [
        ("countersign: pii", &["pii"][..]),
        ("countersign:pii,secret", &["pii", "secret"]),
        ("The card (countersign: PII, payment). Kept for a year.", &["payment", "pii"]),
        ("first line\ncountersign: pii\nlast: line", &["pii"]),
        ("countersign: pii; countersign: secret", &["pii", "secret"]),
        ("nothing of the kind", &[]),
        ("", &[]),
        // What was meant and does not read is not nothing.
        ("countersign:", &["unreadable"]),
        ("countersign: p i i", &["unreadable"]),
        ("countersign: pii,", &["pii", "unreadable"]),
        ("countersign: pi\u{200b}i", &["unreadable"]),
    ] {
        let found = words(comment);
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{comment:?}");
    }
}

#[test]
fn a_security_label_says_them_too() {
    let said = |provider, label| security(provider, label).into_iter().collect::<Vec<_>>();
    assert_eq!(said("countersign", "pii, secret"), ["pii", "secret"]);
    assert_eq!(said("selinux", "system_u:object_r:sepgsql_table_t:s0"), Vec::<String>::new());
    assert_eq!(said("selinux", "countersign: pii"), ["pii"]);
    assert_eq!(said("anon", "MASKED WITH FUNCTION anon.fake_last_name()"), ["pii"]);
    assert_eq!(said("anon", "NOT MASKED"), Vec::<String>::new());
}

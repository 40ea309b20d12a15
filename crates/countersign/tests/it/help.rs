//! What the help says: the first thing that anybody reads.

use crate::support::{bare, ran};

fn check(args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let ran = ran(bare(folder.path()).args(args));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    ran.out
}

#[test]
fn the_main_help() {
    insta::assert_snapshot!(check(&["--help"]));
}

#[test]
fn the_help_of_request() {
    insta::assert_snapshot!(check(&["request", "--help"]));
}

#[test]
fn the_help_of_audit_verify() {
    insta::assert_snapshot!(check(&["audit", "verify", "--help"]));
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = check(&["completions", shell]);
        for command in ["up", "inbox", "approve", "audit", "doctor"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn verbs_are_the_vocabulary() {
    let table = check(&["verbs"]);
    assert!(table.starts_with("VERB"), "{table}");
    assert!(
        table.lines().any(|line| line.split_whitespace().eq(["http.delete", "destroy", "DELETE"])),
        "{table}"
    );
    assert!(check(&["verbs", "--markdown"]).contains("| `http.delete` | DELETE |"));
    let json: serde_json::Value = serde_json::from_str(&check(&["verbs", "--json"])).unwrap();
    assert_eq!(json[0]["verb"], "http.get");
}

#[test]
fn the_document_of_the_api_is_printed() {
    let document: serde_json::Value = serde_json::from_str(&check(&["openapi"])).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/approvals/{id}"].is_object());
}

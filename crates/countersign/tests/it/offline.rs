//! What needs no gateway.

use crate::support::{Place, bare, ran};

/// A key of the right form that signed nothing.
const SOME_KEY: &str = "example.com/log+6616358e+AarJQtOVKo1iFhdX7Uh9M3ILqedv7XgCZxf+q1NGyIa+";

#[test]
fn a_receipt_that_is_none_is_invalid() {
    let place = Place::new();
    let running = place.start();
    let garbage = place.write("garbage.json", "{\"v\":1,\"v\":2}");
    let verify = |file: &str, key: &str| place.run(&["audit", "verify", file, "--log-key", key]);

    let ran = verify(garbage.to_str().unwrap(), &running.log_key);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.out.starts_with("INVALID"), "{}", ran.out);

    let ran = verify("missing.json", &running.log_key);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("cannot read `missing.json`"), "{}", ran.err);
}

#[test]
fn whose_log_is_trusted_must_be_said_and_read() {
    let place = Place::new();
    place.write("receipt.json", "{}");
    for args in [
        &["audit", "verify", "receipt.json"][..],
        &["audit", "verify", "receipt.json", "--log-key", SOME_KEY],
    ] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:#?}");
    }
}

#[test]
fn the_starter_policy_passes_its_own_cases() {
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let place = Place::new();
    let (policy, cases) = (format!("{policies}/http.cedar"), format!("{policies}/http.test.toml"));
    let out = place.must(&["policy", "test", &cases, "--policy", &policy]);
    assert!(out.ends_with(" passed, 0 failed"), "{out}");
    assert_eq!(place.must(&["policy", "test", &policy, &cases]), out);
    assert!(place.must(&["policy", "check", &policy, "--offline"]).contains("is a good policy"));
}

#[test]
fn a_bad_policy_is_pointed_at() {
    let place = Place::new();
    place.write("bad.cedar", "@id(\"x\")\n@hold(\"nobody\")\nforbid (principal, action, resource);\n");
    let ran = place.run(&["policy", "check", "bad.cedar", "--offline"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.out.starts_with("bad.cedar:"), "{}", ran.out);
    let ran = place.run(&["policy", "apply", "bad.cedar"]);
    assert_eq!(ran.code, 1, "a policy that does not load asks no gateway: {ran:#?}");
}

#[test]
fn a_route_is_checked_where_it_is_written() {
    let place = Place::new();
    place.write("good.toml", "name = \"orders\"\nupstream = \"http://127.0.0.1:9\"\nenvironment = \"dev\"\n");
    place.write("bad.toml", "name = \"orders\"\nupstream = \"ftp://x\"\nenvironment = \"dev\"\n");
    assert_eq!(place.must(&["route", "check", "good.toml"]), "`good.toml` is a good route: `orders`");
    let ran = place.run(&["route", "check", "bad.toml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("`upstream` cannot be `ftp://x`"), "{}", ran.err);
}

#[test]
fn a_gateway_that_is_not_there_is_3() {
    let place = Place::new();
    let ran = place.run(&["inbox"]);
    assert_eq!(ran.code, 3, "{ran:#?}");
    assert!(ran.err.contains(&place.url) && ran.err.contains("countersign up"), "{}", ran.err);
}

#[test]
fn wrong_usage_is_2() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["nonsense"][..], &["show"], &["inbox", "--limit", "0"], &["group", "add", "UPPER", "x"]] {
        assert_eq!(ran(bare(folder.path()).args(args)).code, 2, "{args:?}");
    }
}

#[cfg(unix)]
#[test]
fn keys_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    drop(place.start());
    let key = place.path("countersign-keys/log.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = place.run(&["up"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("log.key") && ran.err.contains("chmod 600"), "{}", ran.err);
    let ran = place.run(&["doctor"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("fail  keys"), "{}", ran.out);

    place.write("x.agent.json", "{}");
    std::fs::set_permissions(place.path("x.agent.json"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = place.run(&["agent", "token", "x.agent.json"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("chmod 600"), "{}", ran.err);
}

#[test]
fn one_store_has_one_process() {
    let place = Place::new();
    let running = place.start();
    // The same store on other ports.
    let other = Place::new();
    let config = std::fs::read_to_string(other.path("countersign.toml")).unwrap();
    let folder = place.folder.path().display();
    let config = config.replacen(
        "[listen]",
        &format!("[store]\nfolder = \"{folder}/countersign-data\"\n[keys]\nfolder = \"{folder}/countersign-keys\"\n[listen]"),
        1,
    );
    other.write("countersign.toml", &config);
    let ran = other.run(&["up"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.err.contains("another process has"), "{}", ran.err);
    drop(running);
}

#[test]
fn a_store_goes_into_a_backup_and_comes_back() {
    let place = Place::new();
    let running = place.start();
    let refused = place.run(&["backup", "create", "copy.db"]);
    assert_eq!(refused.code, 1, "{refused:#?}");
    assert!(refused.err.contains("only a stopped gateway's store is copied"), "{}", refused.err);
    drop(running);

    assert!(place.must(&["audit", "log"]).starts_with("the log holds"));
    assert!(place.must(&["backup", "create", "copy.db"]).starts_with("wrote `copy.db`"));
    let refused = place.run(&["backup", "restore", "copy.db"]);
    assert!(refused.code == 1 && refused.err.contains("stands already"), "{refused:#?}");
    std::fs::remove_dir_all(place.path("countersign-data")).unwrap();
    let refused = place.run(&["up"]);
    assert!(refused.code == 1 && refused.err.contains("backup restore"), "{refused:#?}");
    assert!(place.must(&["backup", "restore", "copy.db"]).starts_with("restored"));
    drop(place.start());
}

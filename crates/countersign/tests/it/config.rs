//! A bootstrap file that is wrong stops the start, and says what is wrong.

use crate::support::{Place, bare, ran};

fn check(config: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("countersign.toml"), config).unwrap();
    let ran = ran(bare(folder.path()).arg("up"));
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    ran.err.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_bad_setting_is_named() {
    let port = "[listen]\nconsole = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n";
    for (config, named) in [
        ("listne = 1", "listne"),
        ("[listen]\nconsole = \"here\"", "console"),
        (&format!("{port}trusted_proxies = [\"proxy.example\"]"), "`proxy.example` is no address"),
        (&format!("{port}trusted_proxies = [\"0.0.0.0/0\"]"), "trusts everybody"),
        ("origin = \"has spaces in it\"", "origin"),
        ("[log]\nformat = \"xml\"", "xml"),
        ("[secrets]\nx = { vault = \"y\" }", "vault"),
        ("[retention]\ndays = 0", "retention.days"),
        ("[store]\npostgres = 1", "postgres"),
        ("[transparency]\nfolders = \"x\"", "folders"),
        ("[tls]\ncertificate = \"c.pem\"", "key"),
        (&format!("public_url = \"http://192.0.2.1:7676\"\n{port}"), "192.0.2.1"),
        (&format!("public_url = \"http://countersign.example\"\n{port}"), "TLS"),
        (
            &format!("public_url = \"http://localhost:7676\"\n{port}[secrets]\nx = {{ env = \"NOT_SET\" }}"),
            "NOT_SET",
        ),
        (
            &format!("public_url = \"http://localhost:7676\"\n{port}[secrets]\nx = {{ file = \"none\" }}"),
            "none",
        ),
    ] {
        let said = check(config);
        assert!(said.contains(named), "`{named}` is not in: {said}");
    }
}

#[test]
fn a_database_is_named_without_its_password() {
    let port = "public_url = \"http://localhost:7676\"\n[listen]\nconsole = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n";
    for (store, named) in [
        ("postgres = \"postgres://ada:hunter2@localhost/log\"", "store.password"),
        ("postgres = \"postgres://ada:hunter2@db.example.com/log\"", "sslmode"),
        ("postgres = \"postgres://ada:hunter2@localhost:x/log\"", "does not read"),
        ("postgres = \"postgres://ada@localhost/log\"\npassword = { env = \"NOT_SET\" }", "NOT_SET"),
        ("password = { env = \"NOT_SET\" }", "store.postgres"),
        ("postgres = \"postgres://ada@127.0.0.1:1/log\"", "database"),
    ] {
        let said = check(&format!("{port}[store]\n{store}"));
        assert!(said.contains(named), "`{named}` is not in: {said}");
        assert!(!said.contains("hunter2") && !said.contains("ada"), "{said}");
    }
}

#[test]
fn a_named_file_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let ran = ran(bare(folder.path()).args(["up", "--config", "other.toml"]));
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("cannot read `other.toml`"), "{}", ran.err);
}

#[test]
fn a_taken_address_is_said() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind(place.point.trim_start_matches("http://")).unwrap();
    let ran = place.run(&["up"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("set `listen.http`"), "{}", ran.err);
    drop(taken);
}

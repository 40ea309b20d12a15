//! Databases as people write them: what stands, and what is refused, in words.

use crate::config::{Database, check_document, is_database};

const LEAST: &str = "point = \"postgres\"\nname = \"shop\"\nserver = \"db.example\"\nuser = \"app\"\n\
                     environment = \"prod\"\ncredential = { secret = \"shop\" }\n";

fn refused(text: &str) -> String {
    Database::parse_toml(text).err().map_or_else(|| "taken".to_owned(), |error| error.to_string())
}

#[test]
fn the_least_that_one_needs_and_every_default_stands_in_its_document() {
    let database = Database::parse_toml(LEAST).unwrap();
    assert_eq!(database.server(), ("db.example", 5432));
    assert_eq!(database.database().as_str(), "shop");
    let document = database.to_document().unwrap();
    insta::assert_snapshot!("a_document_with_every_default", document);
    let again = Database::parse_json(&document).unwrap();
    assert_eq!(again.settings(), database.settings());
    assert_eq!(again.to_document().unwrap(), document);
}

#[test]
fn a_database_is_told_from_a_route() {
    assert!(is_database(LEAST));
    assert!(is_database(&Database::parse_toml(LEAST).unwrap().to_document().unwrap()));
    for other in ["name = \"shop\"", "point = \"http\"", "{\"point\":\"http\"}", "{}", "", "point = 1", "{"] {
        assert!(!is_database(other), "{other}");
    }
}

#[test]
fn what_cannot_stand_is_refused() {
    let with = |setting: &str| {
        let name = setting.split_once(' ').unwrap().0;
        let kept: Vec<&str> = LEAST.lines().filter(|line| line.split_once(' ').unwrap().0 != name).collect();
        format!("{}\n{setting}\n", kept.join("\n"))
    };
    let cases = [
        "server = \"\"",
        "server = \"db.example:0\"",
        "server = \"db.example:05432\"",
        "server = \"db..example\"",
        "server = \"postgres://db.example\"",
        "server = \"[::1\"",
        "user = \"\"",
        "database = \"a\\u0000b\"",
        "point = \"http\"",
        "tls = \"loopback\"",
        "tls = \"none\"",
        "roots = \"no certificate\"",
        "wait = \"32d\"",
        "columns = { \"users.email\" = [\"pii\"] }",
        "columns = { \"public.users.email\" = [\"p,ii\"] }",
        "mask = { reveal = { group = \"No Group\" } }",
        "surprise = 1",
    ];
    let said: Vec<String> = cases
        .iter()
        .map(|case| format!("{case}\n    {}", refused(&with(case)).lines().last().unwrap_or_default()))
        .collect();
    insta::assert_snapshot!("what_cannot_stand", said.join("\n"));
}

#[test]
fn without_a_credential_it_must_be_meant() {
    let without: String =
        LEAST.lines().filter(|line| !line.starts_with("credential")).collect::<Vec<_>>().join("\n");
    assert!(refused(&without).contains("allow_no_proof"), "{}", refused(&without));
    assert_eq!(refused(&format!("{without}\nallow_no_proof = true\n")), "taken");
}

#[test]
fn a_document_bears_the_name_under_which_it_is_set() {
    assert!(check_document(&"shop".parse().unwrap(), LEAST).is_ok());
    let why = check_document(&"other".parse().unwrap(), LEAST).unwrap_err();
    assert_eq!(why, "the document names the database `shop`, not `other`");
}

#[test]
fn columns_are_labelled_by_their_whole_names() {
    let text = format!("{LEAST}[columns]\n\"public.users.e.mail\" = [\"pii\", \"contact\"]\n");
    assert!(refused(&text).contains("schema.table.column"));
    let text = format!("{LEAST}[columns]\n\"public.users.email\" = [\"pii\", \"contact\"]\n");
    let labels = Database::parse_toml(&text).unwrap().labels();
    assert_eq!(labels.len(), 1);
    assert_eq!(
        (labels[0].schema.as_str(), labels[0].table.as_str(), labels[0].column.as_str()),
        ("public", "users", "email")
    );
    assert_eq!(labels[0].classes.iter().map(String::as_str).collect::<Vec<_>>(), ["contact", "pii"]);
}

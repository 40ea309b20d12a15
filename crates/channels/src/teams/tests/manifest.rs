use std::io::{Cursor, Read as _};

use uuid::Uuid;

use super::super::manifest::package;

#[test]
fn the_package_holds_a_manifest_and_two_icons_and_is_the_same_each_time() {
    let bot: Uuid = "5f0d6a4e-0000-4000-8000-0000000000b0".parse().unwrap();
    let bytes = package(bot, "https://gate.acme.example").unwrap();
    assert_eq!(bytes, package(bot, "https://gate.acme.example").unwrap());
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut read = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    insta::assert_snapshot!("manifest", String::from_utf8(read("manifest.json")).unwrap());
    // A PNG's header: its width and height are the numbers at 16 and 20.
    for (name, side) in [("color.png", 192_u32), ("outline.png", 32)] {
        let bytes = read(name);
        assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n", "{name}");
        assert_eq!(bytes[16..24], [side.to_be_bytes(), side.to_be_bytes()].concat(), "{name}");
    }
    assert_eq!(archive.len(), 3);
}

#[test]
fn teams_takes_no_address_without_tls() {
    for url in ["http://localhost:8443", "gate.acme.example", "", "https://"] {
        assert!(package(Uuid::nil(), url).is_err(), "{url}");
    }
}

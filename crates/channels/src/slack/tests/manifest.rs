use super::super::manifest;

#[test]
fn a_manifest_for_each_way() {
    insta::assert_json_snapshot!("manifest_socket", manifest(None).unwrap());
    insta::assert_json_snapshot!(
        "manifest_requests",
        manifest(Some("https://gate.example/channels/slack")).unwrap()
    );
    for url in ["http://gate.example/", "gate.example", ""] {
        assert!(manifest(Some(url)).is_err(), "{url}");
    }
}

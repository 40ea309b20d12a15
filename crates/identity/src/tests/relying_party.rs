use crate::relying_party;

#[test]
fn a_host_is_the_id_and_the_url_its_one_origin() {
    for (url, id, origin) in [
        ("https://countersign.example", "countersign.example", "https://countersign.example"),
        ("https://countersign.example/", "countersign.example", "https://countersign.example"),
        ("HTTPS://Countersign.Example:443", "countersign.example", "https://countersign.example"),
        ("https://countersign.example:8443", "countersign.example", "https://countersign.example:8443"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://gateway", "gateway", "https://gateway"),
        ("http://localhost:7676", "localhost", "http://localhost:7676"),
        ("http://localhost:80/", "localhost", "http://localhost"),
        ("http://localhost:443", "localhost", "http://localhost:443"),
        ("https://localhost:7676", "localhost", "https://localhost:7676"),
    ] {
        let relying_party = relying_party(url).unwrap();
        assert_eq!(
            (relying_party.id.as_str(), relying_party.origins.as_slice()),
            (id, [origin.to_owned()].as_slice())
        );
    }
}

#[test]
fn where_passkeys_do_not_work_the_error_says_what_to_do() {
    for (url, advice) in [
        ("http://127.0.0.1:7676", "no IP address; use a host name, or `http://localhost:<port>`"),
        ("https://10.0.0.1", "no IP address"),
        ("https://127.1", "no IP address"),
        ("https://2130706433", "no IP address"),
        ("https://0x7f.0x1", "no IP address"),
        ("https://example.0x", "no IP address"),
        ("http://[::1]:7676", "no IP address"),
        ("http://countersign.example", "use `https`"),
        ("http://localhost.example", "use `https`"),
        ("http://evil-localhost", "use `https`"),
        ("countersign.example", "write it as `https://<host>`"),
        ("ftp://countersign.example", "write it as `https://<host>`"),
        ("https://countersign.example/console", "without a path"),
        ("https://countersign.example//", "without a path"),
        ("https://countersign.example?x", "without a path"),
        ("https://alice@countersign.example", "without a path"),
        ("https://a\\b", "without a path"),
        ("https://", "a name of letters"),
        ("https://.", "a name of letters"),
        ("https://countersign.example.", "a name of letters"),
        ("https://counter_sign.example", "a name of letters"),
        ("https://bücher.example", "a name of letters"),
        ("https://-a.example", "a name of letters"),
        ("https://%61.example", "a name of letters"),
        (" https://countersign.example", "write it as"),
        ("https://countersign.example:0", "1 to 65535"),
        ("https://countersign.example:", "1 to 65535"),
        ("https://countersign.example:65536", "1 to 65535"),
        ("https://countersign.example:+443", "1 to 65535"),
        ("https://countersign.example:1:2", "1 to 65535"),
    ] {
        let error = relying_party(url).expect_err(url);
        assert_eq!(error.code(), "public-url");
        assert!(error.public().contains(advice), "{url}: {error}");
    }
}

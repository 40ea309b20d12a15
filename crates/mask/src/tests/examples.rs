//! One line for each thing that is found, and for each that is not.

use crate::Masker;

fn check(cases: &[(&str, &str)]) {
    let masker = Masker::default();
    for (text, shown) in cases {
        assert_eq!(masker.mask(None, text.as_bytes()).to_string(), *shown, "of {text}");
    }
}

fn unchanged(texts: &[&str]) {
    let masker = Masker::default();
    for text in texts {
        let masked = masker.mask(None, text.as_bytes());
        assert_eq!(masked.to_string(), *text, "{:?}", masked.findings());
    }
}

#[test]
fn keys_and_tokens_by_their_form() {
    let pem =
        concat!("-----BEGIN RSA PRIV", "ATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIV", "ATE KEY-----");
    check(&[
        (pem, "[masked: private key]"),
        (&format!("x {} y", pem.replace('\n', "\\n")), "x [masked: private key] y"),
        ("-----BEGIN PRIVATE KEY-----\nMII", "[masked: private key]"),
        ("id AKIAIOSFODNN7EXAMPLF end", "id [masked: API key] end"),
        (
            "AKIAIOSFODNN7EXAMPLF,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "[masked: API key],[masked: API key]",
        ),
        ("use ghp_16C7e42F292c6912E7710c838347Ae178B4a.", "use [masked: API key]."),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[masked: API key]"),
        ("SK0123456789abcdef0123456789abcdef", "[masked: API key]"),
        (
            "t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U;",
            "t=[masked: token];",
        ),
        ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [masked: token]"),
        ("Authorization: Basic YWxhZGRpbjpvcGVuc2VzYW1l", "Authorization: Basic [masked: token]"),
        ("glft-Zx8Yw2Vq7Ut4Sr1Pon9M pulls the feed", "[masked: API key] pulls the feed"),
        ("GR1348941Zx8Yw2Vq7Ut4Sr1Pon9M", "[masked: API key]"),
        ("bot 1234567890:AZx8Yw2Vq7Ut4Sr1Pon9MlkJihGfedCba_0", "bot [masked: API key]"),
        ("sk-None-Zx8Yw2Vq7Ut4Sr1Pon9MT3BlbkFJlkJihGfedCba0987zyxW", "[masked: API key]"),
        ("pul-0123456789abcdef0123456789abcdef01234567", "[masked: API key]"),
        ("export KEY=Zx8Yw2Vq7Ut4Sr1Pon9Mlk", "export KEY=[masked: secret]"),
        (
            "the key is Zx8Yw2Vq7Ut4Sr1Pon9Mlk and nothing else",
            "the key is [masked: secret] and nothing else",
        ),
        ("{\"key\": \"Zx8Yw2Vq7Ut4Sr1Pon9Mlk\"}", "{\"key\": \"[masked: secret]\"}"),
    ]);
    unchanged(&[
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "task-ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
        "Basic knowledge of HTTP, bearer of news",
        "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        // Keys that are no secrets: of rows, caches, objects, sorts, lists.
        "key: 2cf24dba5fb0a30e26e83b2ac5b9e29e",
        "{\"key\": \"01890a5d-ac96-774b-bcce-b302099a8057\"}",
        "key=customers/2026/11/21/Report-Final-v2.pdf",
        "the key is CustomerAddressLine1PrimaryContact in the table",
        "{\"key\": \"spring.datasource.HikariPool.Size20\"}",
        "KEY=AAAAAAAAAAAAAAAAAAAAAAAAaaaa1",
        "12:A34 is a room, and 4711:A too",
        "API-GATEWAY-V2 and glft-short",
    ]);
}

#[test]
fn credentials_in_addresses_and_beside_names() {
    check(&[
        (
            "postgres://app:s3cr3t@db.internal/x",
            "postgres://app:[masked: connection credential]@db.internal/x",
        ),
        ("redis://:p%40ss@cache:6379", "redis://:[masked: connection credential]@cache:6379"),
        ("amqp://u:a/b@mq/", "amqp://u:[masked: connection credential]@mq/"),
        (
            "Server=db;User Id=sa;Password=hunter2;Encrypt=yes",
            "Server=db;User Id=sa;Password=[masked: secret];Encrypt=yes",
        ),
        (
            "jdbc:mysql://db/x?user=a&password=b7&ssl=1",
            "jdbc:mysql://db/x?user=a&password=[masked: secret]&ssl=1",
        ),
        ("export DB_PASSWORD=correcthorse", "export DB_PASSWORD=[masked: secret]"),
        ("deploy --api-key 9f8e7d6c5b4a --force", "deploy --api-key [masked: secret] --force"),
        ("db:\n  password: hunter\n  host: x", "db:\n  password: [masked: secret]\n  host: x"),
        ("ALTER ROLE app PASSWORD 'geheim'", "ALTER ROLE app PASSWORD '[masked: secret]'"),
        (
            "CREATE USER u IDENTIFIED BY 'x'; SET password = 'y y'",
            "CREATE USER u IDENTIFIED BY 'x'; SET password = '[masked: secret]'",
        ),
        ("mysql -u root -pgeheim shop", "mysql -u root -p[masked: secret] shop"),
        ("curl -u me:geheim https://x/", "curl -u me:[masked: secret] https://x/"),
        (
            "{\"user\":{\"password\":\"a b\"},\"n\":1}",
            "{\"user\":{\"password\":\"[masked: secret]\"},\"n\":1}",
        ),
        ("{\"pin\":1234}", "{\"pin\":\"[masked: secret]\"}"),
        ("a=1&client_secret=x%20y&b=2", "a=1&client_secret=[masked: secret]&b=2"),
    ]);
    unchanged(&[
        "https://example.com:8080/a@b",
        "the password must be at least twelve characters",
        "password = get_password()",
        "token: string",
        "password: ${DB_PASSWORD}",
        "\"max_tokens\": 4096, \"token_type\": \"bearer\"",
        "{\"password\":null}",
    ]);
}

#[test]
fn personal_data_by_its_checks() {
    check(&[
        ("card 4111 1111 1111 1111 exp 12/27", "card [masked: card …1111] exp 12/27"),
        ("{\"n\":378282246310005}", "{\"n\":\"[masked: card …0005]\"}"),
        ("write to ann.lee@example.org.", "write to [masked: e-mail]."),
        ("call +49 30 1234567 now", "call [masked: phone] now"),
        ("call (212) 555-0123 now", "call [masked: phone] now"),
        ("phone: 5551234567", "phone: [masked: phone]"),
        ("tel 06 12 34 56 78", "tel [masked: phone]"),
        ("to DE89 3704 0044 0532 0130 00 today", "to [masked: IBAN] today"),
        ("GB29NWBK60161331926819", "[masked: IBAN]"),
        ("ssn 078-05-1120", "ssn [masked: national id]"),
        ("Nino AB 12 34 56 C here", "Nino [masked: national id] here"),
        ("dni 12345678Z, nie X1234567L", "dni [masked: national id], nie [masked: national id]"),
        ("cf RSSMRA85T10A562S", "cf [masked: national id]"),
        ("pesel 44051401359", "pesel [masked: national id]"),
        ("bsn: 111222333", "bsn: [masked: national id]"),
        ("idnr 86095742719", "idnr [masked: national id]"),
        ("cpf 111.444.777-35", "cpf [masked: national id]"),
        ("hetu 131052-308T", "hetu [masked: national id]"),
        ("id 11010519491231002X", "id [masked: national id]"),
    ]);
    unchanged(&[
        "4111 1111 1111 1112",
        "id 550e8400-e29b-41d4-a716-446655440000",
        "at 2026-11-21T04:49:48.123456Z in 1700000000123 ms",
        "v1.2.3-rc.4 10.0.0.1 port 5432",
        "order 123456789, 987654321012",
        "git@github.com:a/b.git, @scope/pkg@1.2.3, logo@2x.png",
        "000-12-3456 666-12-3456 123-00-4567",
        "DE88 3704 0044 0532 0130 00",
    ]);
}

#[test]
fn wrapped_texts_are_read() {
    check(&[
        (r#"{"n":"\u0034111 1111 1111 1111"}"#, r#"{"n":"[masked: card …1111]"}"#),
        (r#"{"m":"first\nuser@example.com"}"#, r#"{"m":"first[masked: e-mail]"}"#),
        (r#"{"inner":"{\"password\":\"geheim\"}"}"#, r#"{"inner":"{\"password\":\"[masked: secret]\"}"}"#),
        ("to=ann%40example.org&x=1", "to=[masked: e-mail]&x=1"),
        ("n=4111+1111+1111+1111&x=1", "n=[masked: card …1111]&x=1"),
        ("data: cGFzc3dvcmQ9aHVudGVyMg== end of it", "data: [masked: secret] end of it"),
    ]);
    let wide: Vec<u8> = "ann@example.org".bytes().flat_map(|byte| [byte, 0]).collect();
    assert!(Masker::default().mask(None, &wide).is_masked(), "UTF-16");
}

#[test]
fn a_field_s_own_name_tells() {
    let masker = Masker::default();
    let of = |name, value: &str| masker.mask(Some(name), value.as_bytes()).to_string();
    assert_eq!(of("authorization", "Custom abc"), "[masked: token]");
    assert_eq!(of("cookie", "a=b"), "[masked: token]");
    assert_eq!(of("x-api-key", "k3y-0123"), "[masked: secret]");
    assert_eq!(of("accept", "text/html"), "text/html");
}

#[test]
fn what_is_printed_shows_nothing() {
    let masked = Masker::default().mask(None, b"password=hunter2&x=1");
    assert!(!format!("{masked:?} {masked} {:?}", masked.pieces()).contains("hunter2"));
    assert_eq!(&"password=hunter2&x=1"[masked.findings()[0].range.clone()], "hunter2");
}

#[test]
fn long_values_are_masked_to_their_end() {
    let long = "Ab3!xY9_".repeat(500);
    for (text, shown) in [
        (format!("password={long} x"), "password=[masked: secret] x"),
        (format!("token: \"{long}\"; x"), "token: \"[masked: secret]\"; x"),
        (format!("{{\"secret\":\"{long}\"}}"), "{\"secret\":\"[masked: secret]\"}"),
        (format!("glpat-{} x", long.replace('!', "_")), "[masked: API key] x"),
    ] {
        assert_eq!(Masker::default().mask(None, text.as_bytes()).to_string(), shown);
    }
}

#[test]
fn what_is_too_large_is_masked_whole() {
    let large = vec![b'a'; crate::limits::SCAN_LIMIT_BYTES + 1];
    let masked = Masker::default().mask(None, &large);
    assert!(masked.is_unscanned());
    assert_eq!(masked.to_string(), "[masked: not scanned]");
    let many = "a@b.co ".repeat(crate::limits::FINDINGS_LIMIT + 10);
    assert!(Masker::default().mask(None, many.as_bytes()).is_unscanned());
}

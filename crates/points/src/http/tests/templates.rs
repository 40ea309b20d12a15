//! Path templates, and which operation a request is.

use proptest::prelude::*;

use super::*;
use crate::http::path::CanonicalPath;
use crate::http::template::{Naming, Relation, Template};

fn captures(template: &str, path: &str) -> String {
    let template = Template::read(template).unwrap();
    let path = CanonicalPath::read(path.as_bytes()).unwrap();
    match template.captures(&path) {
        None => "-".to_owned(),
        Some(all) => all.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn a_variable_takes_one_segment() {
    for (template, path, expected) in [
        ("/", "/", ""),
        ("/", "/a", "-"),
        ("/a", "/a", ""),
        ("/a", "/a/", "-"),
        ("/a/", "/a/", ""),
        ("/a/", "/a", "-"),
        ("/q/{vhost}/{name}", "/q/%2F/orders", "vhost=%2F name=orders"),
        ("/q/{vhost}/{name}", "/q/x", "-"),
        ("/q/{vhost}/{name}", "/q/x/y/z", "-"),
        ("/q/{name}", "/q/", "-"),
        ("/q/%7eb", "/q/~b", ""),
        ("/f/{rest...}", "/f/a/b", "rest=a/b"),
        ("/f/{rest...}", "/f/a/", "rest=a/"),
        ("/f/{rest...}", "/f", "-"),
        ("/f/{rest...}", "/f/", "-"),
        ("/{rest...}", "/", "-"),
        ("/v1/{name}:purge", "/v1/x:purge", "name=x"),
        ("/v1/{name}:purge", "/v1/:purge", "-"),
        ("/v1/{name}.json", "/v1/a.b.json", "name=a.b"),
        // The end of an escape is not fixed text.
        ("/v1/{name}F", "/v1/x%2F", "-"),
        ("/v1/{name}2F", "/v1/x%2F", "-"),
    ] {
        assert_eq!(captures(template, path), expected, "{template} {path}");
    }
}

#[test]
fn what_is_no_template_is_refused() {
    for (template, words) in [
        ("a", "begins with `/`"),
        ("/a//b", "empty segment"),
        ("/a/./b", "dot segment"),
        ("/a/../b", "`.` or `..` segment"),
        ("/{a", "not closed"),
        ("/a}", "without"),
        ("/{a}{b}", "more than one variable"),
        ("/{a}-{b}", "more than one variable"),
        ("/{}", "names no variable"),
        ("/{a b}", "names no variable"),
        ("/{a}/{a}", "stands twice"),
        ("/{a...}/b", "only stand last"),
        ("/{a...}/", "only stand last"),
        ("/x{a...}", "nothing may stand beside"),
        ("/a;b", "`;`"),
        ("/caf\u{e9}", "percent-encode"),
        (&format!("/{}", "a".repeat(1_024)), "at most 1024 bytes"),
        (&(0..17).map(|n| format!("/{{v{n}}}")).collect::<String>(), "at most 16 variables"),
    ] {
        let error = Template::read(template).expect_err(template);
        assert!(error.contains(words), "{template}: {error}");
    }
    for (naming, words) in [
        ("", "visible ASCII"),
        ("a b", "visible ASCII"),
        ("q/{x}", "no variable `x`"),
        ("q/{a}/{a}", "twice"),
        ("q/{a", "not closed"),
        ("q/a}", "no `{`"),
        ("}{a}", "no `{`"),
    ] {
        let error = Naming::read(naming, &["a"]).expect_err(naming);
        assert!(error.contains(words), "{naming}: {error}");
    }
    assert_eq!(Naming::read("q/{a...}", &["a"]), Naming::read("q/{a}", &["a"]));
}

const RABBIT: &str = r#"
    opaque_slashes = true
    operations = [
        { method = "GET", path = "/api/queues/{vhost}/{name}", resource = "queues/{vhost}/{name}" },
        { method = "DELETE", path = "/api/queues/{vhost}/{name}", resource = "queues/{vhost}/{name}", labels = { class = "queue" } },
        { method = "DELETE", path = "/api/queues/{vhost}/{name}/contents", verb = "http.destroy", resource = "queues/{vhost}/{name}" },
        { method = "POST", path = "/api/search", verb = "http.read" },
        { method = "POST", path = "/v1/{name}", verb = "http.write" },
        { method = "POST", path = "/v1/{name}:purge", verb = "http.destroy", resource = "things/{name}" },
        { method = "GET", path = "/users/{id}" },
        { method = "GET", path = "/users/me", verb = "http.admin" },
        { method = "HEAD", path = "/users/probe", verb = "http.exec" },
        { method = "GET", path = "/files/{rest...}", resource = "files/{rest}" },
        { method = "POST", path = "/sqs", query = { Action = "ReceiveMessage" }, verb = "http.read" },
        { method = "POST", path = "/sqs", query = { Action = "DeleteQueue" }, verb = "http.destroy" },
        { method = "POST", path = "/sqs", verb = "http.write" },
        { method = "PUT", path = "/a/{x}/c" },
        { method = "PUT", path = "/a/b/{y}" },
    ]
"#;

#[test]
fn the_most_specific_operation_wins() {
    for (line, expected) in [
        ("DELETE /api/queues/%2f/orders", "http.delete queues/%2F/orders -> /api/queues/%2F/orders"),
        ("DELETE /api/queues/%2F/o/contents", "http.destroy queues/%2F/o -> /api/queues/%2F/o/contents"),
        ("GET /api/queues/a/b?x=1", "http.get queues/a/b -> /api/queues/a/b?x=1"),
        ("HEAD /api/queues/a/b", "http.get queues/a/b -> /api/queues/a/b"),
        ("PUT /api/queues/a/b", "http.put /api/queues/a/b -> /api/queues/a/b unmatched"),
        ("PURGE /api/queues/a/b", "http.other /api/queues/a/b -> /api/queues/a/b unmatched"),
        ("POST /api/search", "http.read /api/search -> /api/search"),
        ("POST /v1/x:purge", "http.destroy things/x -> /v1/x:purge"),
        ("POST /v1/x", "http.write /v1/x -> /v1/x"),
        ("GET /users/me", "http.admin /users/me -> /users/me"),
        ("GET /users/you", "http.get /users/you -> /users/you"),
        ("HEAD /users/probe", "http.exec /users/probe -> /users/probe"),
        ("GET /users/probe", "http.get /users/probe -> /users/probe"),
        ("GET /files/a/b/", "http.get files/a/b/ -> /files/a/b/"),
        ("POST /sqs?Action=DeleteQueue", "http.destroy /sqs -> /sqs?Action=DeleteQueue"),
        ("POST /sqs?Action=Other", "http.write /sqs -> /sqs?Action=Other"),
        ("PUT /a/b/c", "http.put /a/b/c -> /a/b/c"),
        ("OPTIONS /", "http.options / -> / unmatched"),
    ] {
        assert_eq!(check(RABBIT, line), expected, "{line}");
    }
    let request = ok(RABBIT, "DELETE /api/queues/%2f/orders");
    assert_eq!(request.resource().labels["class"], "queue");
    assert_eq!((request.operation_number(), request.shape()), (2, "DELETE /api/queues/{vhost}/{name}"));
    let other = ok(RABBIT, "DELETE /other");
    assert_eq!((other.operation_number(), other.shape()), (0, "DELETE"));
}

#[test]
fn what_a_lenient_upstream_would_take_for_another_operation_is_refused() {
    for line in [
        "DELETE /API/queues/a/b/contents",
        "DELETE /api/queues/a/b/contents/",
        "DELETE /api/queues/a/b/",
        "POST /api/search/",
        "POST /v1/x%3Apurge",
        "POST /v1/x:PURGE",
        "GET /users/ME",
        "GET /users/me/",
        "HEAD /Users/probe",
        "GET /Files/a/b",
        "POST /sqs?Action=ReceiveMessage&Action=DeleteQueue",
        "POST /sqs?action=DeleteQueue",
        "POST /sqs?Action=ReceiveMessage&ACTION=DeleteQueue",
    ] {
        assert_eq!(check(RABBIT, line), "400 near-miss", "{line}");
    }
    let exact = format!("exact_paths = true\n{RABBIT}");
    assert_eq!(check(&exact, "POST /api/search/"), "http.post /api/search/ -> /api/search/ unmatched");
    assert_eq!(check(&exact, "GET /users/ME"), "http.get /users/ME -> /users/ME");
    assert_eq!(check(&exact, "POST /sqs?action=DeleteQueue"), "400 near-miss");
    // Both forms may be named.
    let both = r#"operations = [
        { method = "POST", path = "/x", verb = "http.read" },
        { method = "POST", path = "/x/", verb = "http.destroy" },
    ]"#;
    assert_eq!(check(both, "POST /x"), "http.read /x -> /x");
    assert_eq!(check(both, "POST /x/"), "http.destroy /x/ -> /x/");
}

fn template() -> impl Strategy<Value = Template> {
    let segment = prop::sample::select(vec!["a", "b", "ab", "{v}", "a{v}", "{v}b", "a{v}b", "{v}:p"]);
    (prop::collection::vec(segment, 0..4), 0..3).prop_map(|(parts, end)| {
        let mut text: String = parts
            .iter()
            .enumerate()
            .map(|(n, part)| format!("/{}", part.replace('v', &format!("v{n}"))))
            .collect();
        match end {
            1 => text.push_str("/{rest...}"),
            2 => text.push('/'),
            _ if text.is_empty() => text.push('/'),
            _ => {}
        }
        Template::read(&text).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn relations_hold_for_every_path(
        one in template(),
        two in template(),
        parts in prop::collection::vec("[ab]{1,3}(:p)?", 0..5),
        slash in any::<bool>(),
    ) {
        let text = format!("/{}{}", parts.join("/"), if slash && !parts.is_empty() { "/" } else { "" });
        let path = CanonicalPath::read(text.as_bytes()).unwrap();
        let (fits_one, fits_two) = (one.captures(&path).is_some(), two.captures(&path).is_some());
        let fits = match one.relation(&two) {
            Relation::Disjoint => !(fits_one && fits_two),
            Relation::Same => fits_one == fits_two,
            Relation::Narrower => !fits_one || fits_two,
            Relation::Wider => !fits_two || fits_one,
            Relation::Crossing => true,
        };
        prop_assert!(fits, "{one:?} {two:?} {text} {:?}", one.relation(&two));
        // Which of the two is written first makes no difference.
        let mirrored = match two.relation(&one) {
            Relation::Narrower => Relation::Wider,
            Relation::Wider => Relation::Narrower,
            same @ (Relation::Disjoint | Relation::Same | Relation::Crossing) => same,
        };
        prop_assert_eq!(one.relation(&two), mirrored);
        // The narrower template is tried first.
        if one.relation(&two) == Relation::Narrower {
            prop_assert!(one.rank() < two.rank());
        }
        // What fits, nearly fits.
        let loose = crate::http::template::loosened(&path);
        prop_assert!(!fits_one || one.nearly_fits(&loose));
    }
}

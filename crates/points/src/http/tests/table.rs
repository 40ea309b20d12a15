//! Which route answers.

use super::*;

fn hosts(name: &str, hosts: &str, more: &str) -> String {
    route_text(name, &format!("hosts = [{hosts}]\n{more}"))
}

/// The route that answers and the path that it sees, or the refusal.
fn answer(table: &RouteTable, line: &str) -> String {
    match parse(&head(line), table) {
        Ok(request) => format!("{} {}", request.standing().route.name(), request.path()),
        Err(Refusal::RouteDisabled { route, .. }) => format!("disabled: {route}"),
        Err(refusal) => refusal.code().to_owned(),
    }
}

#[test]
fn the_host_picks_and_then_the_longest_prefix() {
    let table = table(&[
        hosts("a", r#""a.example", "[::1]""#, ""),
        hosts("a-orders", r#""A.example""#, "prefix = \"/orders\""),
        hosts("a-old", r#""a.example""#, "prefix = \"/orders/old\""),
        hosts("a-port", r#""a.example:81""#, ""),
        hosts("b", r#""b.example""#, "prefix = \"/b\""),
        route_text("shop", "prefix = \"/shop\""),
        route_text("rest", ""),
    ]);
    for (line, expected) in [
        ("GET /x\nHost: a.example", "a /x"),
        ("GET /x\nHost: A.EXAMPLE", "a /x"),
        ("GET /x\nHost: a.example:8080", "a /x"),
        ("GET /x\nHost: [::1]:8080", "a /x"),
        ("GET /x\nHost: a.example:81", "a-port /x"),
        ("GET /orders/x\nHost: a.example", "a-orders /x"),
        ("GET /orders\nHost: a.example", "a-orders /"),
        ("GET /orders/old/\nHost: a.example", "a-old /"),
        ("GET /ordersold\nHost: a.example", "a /ordersold"),
        ("GET /shop/x\nHost: any", "shop /x"),
        ("GET /x\nHost: any", "rest /x"),
        // A host that is somebody's falls through to nobody.
        ("GET /x\nHost: b.example", "no-route"),
        ("GET /shop/x\nHost: b.example", "no-route"),
        ("GET /b/x\nHost: b.example", "b /x"),
        ("GET https://b.example/b/x HTTP/2", "b /x"),
    ] {
        assert_eq!(answer(&table, line), expected, "{line}");
    }
    assert_eq!(answer(&RouteTable::default(), "GET /x"), "no-route");
    assert!(table.named(&"shop".parse().unwrap()).is_some());
    assert!(table.named(&"none".parse().unwrap()).is_none());
}

#[test]
fn a_route_out_of_order_keeps_its_place_and_refuses() {
    let sound = |name: &str, more: &str| {
        let text = Route::parse_toml(&route_text(name, more)).unwrap().to_document().unwrap();
        (name.to_owned(), text)
    };
    let broken = |name: &str, text: &str| (name.to_owned(), text.to_owned());

    // Its place can be read.
    let (table, errors) = stored([
        sound("rest", ""),
        broken("b", r#"{"hosts":["b"],"prefix":"/x","new_setting":1}"#),
        broken("c", r#"{"name":"c"}"#),
    ]);
    assert_eq!(errors.iter().map(|error| error.name.as_str()).collect::<Vec<_>>(), ["b", "c", "c"]);
    assert_eq!(answer(&table, "GET /x/y\nHost: b"), "disabled: b");
    assert_eq!(answer(&table, "GET /y\nHost: b"), "no-route");
    // `c` names no place, which is the place of `rest`: neither gets it.
    assert_eq!(answer(&table, "GET /y\nHost: other"), "disabled: rest, c");

    // Its place cannot be read: nothing falls through to the route for all the rest.
    let (table, errors) = stored([broken("a", "{"), sound("rest", ""), sound("s", "prefix = \"/s\"")]);
    assert_eq!(errors.len(), 1);
    assert_eq!(answer(&table, "GET /y"), "disabled: a");
    assert_eq!(answer(&table, "GET /s/y"), "s /y");

    // Under another's name.
    let (name, text) = sound("a", "");
    let (table, errors) = stored([("z".to_owned(), text)]);
    assert!(errors[0].reason.contains(&format!("names another route, `{name}`")), "{errors:?}");
    assert_eq!(answer(&table, "GET /y"), "disabled: z");

    // Two routes in one place; a third does not revive it.
    let (table, errors) = stored([
        sound("a", "hosts = [\"h\"]"),
        sound("b", "hosts = [\"H\", \"i\"]"),
        sound("c", "hosts = [\"h\"]"),
    ]);
    assert_eq!(errors.len(), 2);
    assert_eq!(answer(&table, "GET /y"), "disabled: a, b, c");
    assert_eq!(answer(&table, "GET /y\nHost: i"), "b /y");

    // Another point's document.
    let (table, errors) = stored([broken("m", r#"{"point":"mcp","anything":1}"#), sound("rest", "")]);
    assert_eq!((errors, answer(&table, "GET /y").as_str()), (vec![], "rest /y"));
}

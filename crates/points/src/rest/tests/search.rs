//! The trail, searched through the API: by administrators, and by nobody else.

use serde_json::Value;

use super::house::House;

/// The kinds that a search finds, newest first.
async fn kinds(house: &House, session: &str, query: &str) -> String {
    let answer = house.ask("GET", format!("/v1/search?{query}")).bearer(session).send().await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    let results = answer.body["results"].as_array().unwrap();
    results.iter().map(|result| result["kind"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn administrators_find_what_happened_and_nobody_else_does() {
    let house = House::usual().await;
    let agent = house.token("bot").await;
    let id = house.held(&agent, "orders").await;
    house.review("bob", &id, "approve", None).await;
    house.follow().await;
    let (ada, bob) = (house.session("ada").await, house.session("bob").await);

    let refused = house.ask("GET", "/v1/search").bearer(&bob).send().await;
    assert_eq!(refused.code(), "403 admins-only");
    assert_eq!(house.ask("GET", "/v1/search").bearer(&agent).send().await.code(), "403 people-only");

    assert_eq!(kinds(&house, &ada, &format!("q=id:{id}")).await, "review request");
    assert_eq!(kinds(&house, &ada, "who=bob&verdict=approve").await, "review");
    assert_eq!(kinds(&house, &ada, "q=agent:bot%20rule:deletes%20-kind:review").await, "request");
    assert_eq!(kinds(&house, &ada, "who=nobody").await, "");
}

#[tokio::test]
async fn a_result_says_who_and_what_by_name() {
    let house = House::usual().await;
    let agent = house.token("bot").await;
    let id = house.held(&agent, "orders").await;
    house.follow().await;
    let ada = house.session("ada").await;
    let path = "/v1/search?q=orders%20kind:request&agent=bot&counts=true";
    let answer = house.ask("GET", path).bearer(&ada).send().await;
    let result = &answer.body["results"][0];
    assert_eq!((result["action"].as_str(), &result["held"]), (Some(id.as_str()), &Value::Bool(true)));
    assert_eq!((&result["by"]["name"], &result["sponsor"]["name"]), (&"bot".into(), &"ada".into()));
    assert_eq!((&result["verdict"], &result["rules"][0]), (&"needs-review".into(), &"deletes".into()));
    let facets = answer.body["counts"]["facets"].as_array().unwrap();
    let bot = facets.iter().find(|one| one["facet"] == "agent").unwrap();
    assert_eq!((&bot["name"], &bot["records"]), (&"bot".into(), &1.into()));
    assert_eq!(answer.body["indexed"]["entries"], answer.body["indexed"]["of"]);
}

#[tokio::test]
async fn pages_follow_one_another() {
    let house = House::usual().await;
    house.follow().await;
    let ada = house.session("ada").await;
    let (mut found, mut path) = (Vec::new(), "/v1/search?kind=directory&limit=3".to_owned());
    loop {
        let page = house.ask("GET", &path).bearer(&ada).send().await;
        found.extend(
            page.body["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["record"]["entry"].as_u64().unwrap()),
        );
        let Some(next) = page.body["next"].as_u64() else { break };
        path = format!("/v1/search?kind=directory&limit=3&cursor={next}");
    }
    let mut newest_first = found.clone();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    newest_first.dedup();
    assert!(found.len() > 6 && found == newest_first, "{found:?}");
}

#[tokio::test]
async fn what_does_not_read_is_told_where() {
    let house = House::usual().await;
    let ada = house.session("ada").await;
    let broken = house.ask("GET", "/v1/search?q=orders%20foo:bar").bearer(&ada).send().await;
    assert_eq!(broken.code(), "400 bad-query");
    assert_eq!((&broken.body["at"], &broken.body["length"]), (&7.into(), &7.into()));
    for query in ["since=yesterday", "limit=0", "limit=201", "cursor=-1", "x=1", "q=a&q=b", "counts=1"] {
        let answer = house.ask("GET", format!("/v1/search?{query}")).bearer(&ada).send().await;
        assert_eq!(answer.code(), "400 bad-query", "{query}");
    }
}

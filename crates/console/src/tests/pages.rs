//! Every page as HTML, from fixtures. `COUNTERSIGN_PAGES=<folder>` writes them out with their assets, to be
//! looked at in a browser.

use domain::later::Finding;
use domain::outcome::Ending;
use gateway::card::{MaskedField, Shown};
use gateway::store::Head;
use maud::Markup;

use super::fixtures::{self, at};
use crate::directory::{self, Look};
use crate::frame::{Frame, Room};
use crate::inbox::Tab;
use crate::request::{FindingView, LaterView, Proposal, View};
use crate::{assets, failure, inbox, log, request, sign_in};

fn framed(title: &str, room: Room, scripts: &[&str], content: &Markup) -> String {
    let viewer = fixtures::viewer(true);
    Frame { title, room, viewer: &viewer, scripts, now: at(0) }.around(content).into_string()
}

fn request_page(view: &View) -> String {
    framed("http.delete queues/%2F/orders", Room::Inbox, &["request.js"], &request::view::page(view))
}

fn inbox_page(tab: Tab, full: bool) -> String {
    let inbox = fixtures::inbox(tab, full);
    framed(&inbox::view::title(inbox.mine), Room::Inbox, &["inbox.js"], &inbox::view::page(&inbox))
}

fn proposal() -> View {
    let mut view = fixtures::pending();
    let directory = fixtures::directory();
    let before = directory.policy().unwrap().text.clone();
    let text = before.replace("dba:2", "dba:1")
        + "\n@id(\"reads\")\npermit (principal, action in Action::\"read\", resource);\n";
    let event = domain::directory::DirectoryEvent::PolicyApplied { text };
    let bytes = domain::canonical::write(&event).unwrap();
    view.card.payload = vec![fixtures::part("config.change", &String::from_utf8(bytes).unwrap())];
    view.card.point = domain::action::Point::Config;
    view.card.resource = gateway::card::Shown::new("policy");
    view.card.verb = "config.policy".to_owned();
    view.group = domain::verb::VerbGroup::Admin;
    view.meaning = "applying a policy set";
    view.card.environment = "control".to_owned();
    view.card.production = false;
    view.card.target = "countersign".to_owned();
    view.card.credential = None;
    view.card.run = None;
    view.card.reason = None;
    view.proposal = Proposal::read(&view.card, &directory);
    view
}

fn masked(may_reveal: bool) -> View {
    let mut view = fixtures::pending();
    let classes = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    view.card.masked = vec![
        MaskedField { path: "http.body".to_owned(), classes: classes(&["card", "email"]) },
        MaskedField { path: "reason".to_owned(), classes: classes(&["api-key"]) },
    ];
    view.card.revealed = vec!["reason".to_owned()];
    view.may_reveal = may_reveal;
    view
}

/// Each masked field has its own button, for those who may; nobody else has one.
#[test]
fn what_is_masked_is_named_and_opened_by_those_with_the_right() {
    let own = masked(true);
    let block = request::payload::masked(&own.card.masked, &own.card.revealed, own.may_reveal).into_string();
    insta::assert_snapshot!("masked", block.replace("><", ">\n<"));
    let page = request_page(&masked(false));
    assert!(page.contains("you cannot approve") && !page.contains("data-do=\"reveal\""));
    let revealed = gateway::reveal::Revealed {
        path: "http.body".to_owned(),
        value: "4111 <b>\u{202e}".into(),
        displayed: domain::digest::Digest::of(domain::digest::Purpose::Displayed, b"fixture"),
    };
    insta::assert_snapshot!(
        "revealed",
        request::payload::revealed(&revealed).into_string().replace("><", ">\n<")
    );
}

/// **Authority**, "break-glass": the page says so before all else, and whoever may do it is told what it means.
#[test]
fn broken_glass_is_told_first_and_breaking_it_takes_a_reason() {
    let mut may = fixtures::pending();
    (may.standing.may_approve, may.standing.may_deny, may.standing.group) = (false, false, None);
    may.standing.glass = Some("oncall".parse().unwrap());
    may.holds[0].glass = vec!["oncall".parse().unwrap()];
    let page = request_page(&may);
    assert!(page.contains("or in an emergency one of oncall, by break-glass"));
    assert!(
        page.contains("id=\"glass\"") && !page.contains("id=\"approve\"") && !page.contains("id=\"deny\"")
    );
    assert!(page.contains("<textarea id=\"glass-note\" name=\"note\" rows=\"3\" required"));
    let mut broken = fixtures::pending();
    broken.reviews[0].broke_glass = true;
    let page = request_page(&broken);
    let (banner, what) = (
        page.find("Break-glass: one person approved this alone").unwrap(),
        page.find("class=\"what\"").unwrap(),
    );
    assert!(banner < what && page.contains("approved alone, by break-glass,"));
    assert!(!request_page(&fixtures::pending()).contains("reak-glass"));
}

fn ended_with_broken_glass(later: LaterView) -> View {
    let mut view = fixtures::finished(Ending::Succeeded);
    view.reviews[0].broke_glass = true;
    view.later = later;
    view
}

/// **Authority**, "break-glass": what was done is looked at afterwards; the page says whether it was, and offers it to those
/// who may.
#[test]
fn broken_glass_is_looked_at_afterwards() {
    let awaited = LaterView { awaited: true, ..LaterView::default() };
    let page = request_page(&ended_with_broken_glass(awaited));
    assert!(page.contains("Nobody has looked at this since"));
    assert!(!page.contains("id=\"look-back\"") && !page.contains("sheet-look-back"));

    let group = Some("dba".parse().unwrap());
    let page =
        request_page(&ended_with_broken_glass(LaterView { awaited: true, group, ..LaterView::default() }));
    assert!(page.contains("id=\"look-back\"") && page.contains("data-may=\"look-back\""));
    assert!(page.contains("<textarea id=\"look-back-note\" name=\"note\" rows=\"3\" required"));
    assert!(page.contains("name=\"finding\" value=\"not-justified\" required"));

    let found = FindingView {
        by: "Tom\u{e1}s Ruiz".to_owned(),
        finding: Finding::NotJustified,
        group: "dba".parse().unwrap(),
        note: Shown::new("dba was awake"),
        at: at(-30),
        key: "a passkey",
    };
    let page =
        request_page(&ended_with_broken_glass(LaterView { found: Some(found), ..LaterView::default() }));
    assert!(page.contains("Looked at afterwards: not justified") && page.contains("dba was awake"));
    assert!(!page.contains("id=\"look-back\"") && !page.contains("Nobody has looked"));

    let page = request_page(&ended_with_broken_glass(LaterView { altered: true, ..LaterView::default() }));
    assert!(page.contains("The stored later review is not what was signed"));
}

fn on_chain() -> View {
    let mut view = fixtures::suspicious();
    view.mine.on_chain = true;
    view.mine.asked.clear();
    view.standing.may_approve = false;
    view.standing.group = None;
    view.standing.why_not = Some("you stand on this action's chain; somebody else must review it".to_owned());
    view
}

fn room(room: Room, admin: bool, reviewed: bool) -> String {
    let (directory, viewer) = (fixtures::directory(), fixtures::viewer(admin));
    let look = Look { directory: &directory, viewer: &viewer, reviewed, now: at(0) };
    let rules = directory::rules(&directory);
    let content = match room {
        Room::People => directory::view::people(&look),
        Room::Agents => directory::view::agents(&look),
        Room::Routes => directory::view::routes(&look),
        Room::Policy => directory::view::policy(&look, &rules),
        Room::Inbox | Room::Trail | Room::Log => unreachable!("not of the directory"),
    };
    framed("Directory", room, &["directory.js"], &content)
}

fn log_page() -> String {
    let checkpoint = "countersign.example/log\n1284\nqVv0yQ2mGJzQm1rGJ1s5cYpGk6o2l0m1s3b9cW2d5e8=\n\n— countersign.example/log bpwrGkQ2f0Zz\n";
    let head = Head { size: 1_284, time: at(-42), checkpoint: checkpoint.to_owned() };
    framed(
        "Log",
        Room::Log,
        &[],
        &log::view(&head, "countersign.example/log", "countersign.example/log+6e9c2b1a+AQID", at(0)),
    )
}

/// Every page that there is, by name.
pub(super) fn all() -> Vec<(&'static str, String)> {
    let mut pages = super::trail::pages(|content| framed("Trail", Room::Trail, &["trail.js"], content));
    pages.extend([
        ("pending", request_page(&fixtures::pending())),
        ("suspicious", request_page(&fixtures::suspicious())),
        ("oversize", request_page(&fixtures::oversize())),
        ("long", request_page(&fixtures::long())),
        ("on_chain", request_page(&on_chain())),
        ("proposal", request_page(&proposal())),
        ("approved", request_page(&fixtures::approved())),
        ("denied", request_page(&fixtures::denied())),
        ("finished", request_page(&fixtures::finished(Ending::Succeeded))),
        ("unknown", request_page(&fixtures::finished(Ending::Unknown))),
        ("inbox_full", inbox_page(Tab::All, true)),
        ("inbox_done", inbox_page(Tab::Done, true)),
        ("inbox_empty", inbox_page(Tab::Mine, false)),
        ("people", room(Room::People, true, true)),
        ("people_read_only", room(Room::People, false, true)),
        ("agents", room(Room::Agents, true, false)),
        ("routes", room(Room::Routes, true, true)),
        ("policy", room(Room::Policy, true, true)),
        ("log", log_page()),
        ("login", sign_in::login_view("/approvals/1?a=%22b", "countersign.example/log").into_string()),
        ("enrol", sign_in::enrol_view().into_string()),
        ("cli", framed("Command line", Room::Inbox, &["cli.js"], &sign_in::cli_view("Ada Brandt"))),
        ("nothing", failure::view("Nothing here", "There is no such page.").into_string()),
    ]);
    pages
}

#[test]
fn every_page_renders_as_before() {
    for (name, page) in all() {
        // A line for each element, and no version, so that a difference reads.
        let version = assets::address("");
        let lines = page.replace(&version, "/static/…/").replace("><", ">\n<");
        insta::assert_snapshot!(name, lines);
    }
    let parts = fixtures::suspicious().card.payload;
    insta::assert_snapshot!(
        "payload",
        request::payload::whole(&parts, None).into_string().replace("><", ">\n<")
    );
}

#[test]
fn pages_are_written_out_to_be_looked_at() {
    let Ok(folder) = std::env::var("COUNTERSIGN_PAGES") else { return };
    let folder = std::path::Path::new(&folder);
    std::fs::create_dir_all(folder).unwrap();
    for (name, _, text) in assets::FILES {
        std::fs::write(folder.join(name), text).unwrap();
    }
    for (name, page) in all() {
        std::fs::write(folder.join(format!("{name}.html")), page.replace(&assets::address(""), "")).unwrap();
    }
}

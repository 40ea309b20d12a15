use super::super::standing::{Enterprise, NoMember, User, member};

fn user() -> User {
    User {
        id: "U1".to_owned(),
        team_id: Some("T1".to_owned()),
        deleted: Some(false),
        is_bot: Some(false),
        is_restricted: Some(false),
        is_ultra_restricted: Some(false),
        is_stranger: None,
        enterprise_user: None,
    }
}

#[test]
fn only_an_active_full_member_of_this_workspace_counts() {
    let other = || Some("T2".to_owned());
    let organised = |team: &str| Some(Enterprise { teams: vec![team.to_owned()] });
    for (what, user, expected) in [
        ("a member", user(), Ok(())),
        ("deactivated", User { deleted: Some(true), ..user() }, Err(NoMember::Deleted)),
        ("a bot", User { is_bot: Some(true), ..user() }, Err(NoMember::Bot)),
        ("a guest", User { is_restricted: Some(true), ..user() }, Err(NoMember::Guest)),
        ("a guest of one channel", User { is_ultra_restricted: Some(true), ..user() }, Err(NoMember::Guest)),
        ("Slack Connect", User { is_stranger: Some(true), ..user() }, Err(NoMember::Stranger)),
        ("another workspace", User { team_id: other(), ..user() }, Err(NoMember::OtherTeam)),
        ("no workspace", User { team_id: None, ..user() }, Err(NoMember::OtherTeam)),
        ("this organisation", User { team_id: other(), enterprise_user: organised("T1"), ..user() }, Ok(())),
        (
            "another organisation",
            User { team_id: other(), enterprise_user: organised("T3"), ..user() },
            Err(NoMember::OtherTeam),
        ),
        ("somebody else", User { id: "U2".to_owned(), ..user() }, Err(NoMember::Unknown)),
        ("Slack is silent on deactivation", User { deleted: None, ..user() }, Err(NoMember::Unknown)),
        ("Slack is silent on bots", User { is_bot: None, ..user() }, Err(NoMember::Unknown)),
        ("Slack is silent on guests", User { is_restricted: None, ..user() }, Err(NoMember::Unknown)),
        ("Slack is silent on the rest", User { is_ultra_restricted: None, ..user() }, Err(NoMember::Unknown)),
    ] {
        assert_eq!(member(&user, "U1", Some("T1"), "T1"), expected, "{what}");
        if expected.is_ok() {
            assert_eq!(member(&user, "U1", None, "T1"), expected, "{what}, without a claim");
        }
    }
    assert_eq!(
        member(&user(), "U1", Some("T2"), "T1"),
        Err(NoMember::OtherTeam),
        "a click that names another team"
    );
}

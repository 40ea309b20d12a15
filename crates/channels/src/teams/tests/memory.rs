use super::super::limits::{REFRESH_CONVERSATIONS, REFRESH_USERS};
use super::super::memory::Memory;

#[test]
fn reviewers_are_remembered_by_channel_and_within_a_limit() {
    let memory = Memory::default();
    for person in 0..REFRESH_USERS + 5 {
        memory.saw_reviewer(&format!("19:a@thread.tacv2;messageid={person}"), &format!("29:{person}"));
    }
    memory.saw_reviewer("19:a@thread.tacv2", "29:10");
    let known = memory.reviewers("19:a@thread.tacv2;messageid=7");
    assert_eq!(known.len(), REFRESH_USERS);
    assert_eq!(known.last().map(String::as_str), Some("29:10"));
    assert_eq!(known.iter().filter(|person| *person == "29:10").count(), 1);
    assert!(memory.reviewers("19:b@thread.tacv2").is_empty());
    for each in 0..=REFRESH_CONVERSATIONS {
        memory.saw_reviewer(&format!("19:{each}@thread.v2"), "29:1");
    }
    assert!(memory.reviewers("19:a@thread.tacv2").is_empty(), "the oldest give way");
}

#[test]
fn a_persons_chat_is_the_last_that_was_seen() {
    let memory = Memory::default();
    memory.saw_chat("u1", "a:1");
    memory.saw_chat("u1", "a:2");
    assert_eq!(memory.chat("u1").as_deref(), Some("a:2"));
    assert_eq!(memory.chat("u2"), None);
    for each in 0..REFRESH_CONVERSATIONS {
        memory.saw_chat(&format!("v{each}"), "a:3");
    }
    assert_eq!(memory.chat("u1"), None, "the oldest give way");
}

//! The attended story, with somebody in front of it who does what the terminal says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::process::Stdio;

use demo::Person;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn whoever_follows_the_links_sees_the_end() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--no-open")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut person, mut story, mut decided) = (None::<Person>, String::new(), 0);
    while let Some(line) = lines.next_line().await.unwrap() {
        story.push_str(&line);
        story.push('\n');
        let line = line.trim();
        if line.contains("/enrol#") {
            person = Some(Person::enrol(line, "this laptop").await.unwrap());
        } else if let Some((_, code)) = line.split_once("Confirm the code ") {
            person.as_mut().unwrap().confirm_command_line(code).await.unwrap();
        } else if let Some((_, id)) = line.split_once("/approvals/") {
            let person = person.as_mut().unwrap();
            decided += 1;
            match decided {
                1 => person.approve(id).await.unwrap(),
                _ => person.deny(id, "no").await.unwrap(),
            }
        }
    }
    assert!(child.wait().await.unwrap().success(), "{story}");
    assert_eq!(decided, 2, "{story}");
    assert!(story.contains("SEPARATION: NONE") && story.contains("one changed byte is found"), "{story}");
}

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::limits::{CONVERSATIONS, SPACING, TURN_PATIENCE};
use super::super::pace::Pace;

#[test]
fn one_message_a_second_into_one_conversation() {
    let (pace, now) = (Pace::default(), Instant::now());
    assert_eq!(pace.turn("C1", now), Ok(Duration::ZERO));
    assert_eq!(pace.turn("C2", now), Ok(Duration::ZERO));
    assert_eq!(pace.turn("C1", now), Ok(SPACING));
    assert_eq!(pace.turn("C1", now + SPACING), Ok(SPACING));
    assert_eq!(pace.turn("C1", now + SPACING * 10), Ok(Duration::ZERO));
}

#[test]
fn whoever_would_wait_too_long_takes_no_turn_and_comes_back_in_order() {
    let (pace, now) = (Pace::default(), Instant::now());
    while pace.turn("C1", now).is_ok_and(|wait| wait < TURN_PATIENCE) {}
    for place in 2..10 {
        assert_eq!(pace.turn("C1", now), Err(TURN_PATIENCE + SPACING * place));
    }
    assert_eq!(pace.turn("C1", now + SPACING), Ok(TURN_PATIENCE));
    assert_eq!(pace.turn("C2", now), Ok(Duration::ZERO), "another conversation");
}

#[test]
fn a_pause_that_slack_asks_for_holds_everything() {
    let (pace, now) = (Pace::default(), Instant::now());
    pace.pause(Duration::from_secs(3), now);
    pace.pause(Duration::from_secs(1), now);
    assert_eq!(pace.turn("C1", now), Ok(Duration::from_secs(3)));
    assert_eq!(pace.quiet(now), Ok(Duration::from_secs(3)));
    pace.pause(Duration::from_secs(60), now);
    assert_eq!(pace.turn("C2", now), Err(Duration::from_secs(60) + SPACING));
    assert_eq!(pace.quiet(now), Err(Duration::from_secs(60)));
    assert_eq!(pace.quiet(now + Duration::from_secs(60)), Ok(Duration::ZERO));
}

#[test]
fn conversations_are_forgotten_when_their_turn_is_over() {
    let (pace, now) = (Pace::default(), Instant::now());
    for channel in 0..CONVERSATIONS {
        assert!(pace.turn(&channel.to_string(), now).is_ok());
    }
    assert_eq!(pace.turn("one more", now), Err(SPACING));
    assert_eq!(pace.turn("one more", now + SPACING), Ok(Duration::ZERO));
}

proptest! {
    #[test]
    fn no_two_messages_into_one_conversation_are_closer_than_a_second(
        calls in prop::collection::vec((0_u8..3, 0_u64..3_000), 1..200),
    ) {
        let (pace, mut now) = (Pace::default(), Instant::now());
        let mut sent: [Option<Instant>; 3] = [None; 3];
        for (channel, later) in calls {
            now += Duration::from_millis(later);
            if let Ok(wait) = pace.turn(&channel.to_string(), now) {
                let at = now + wait;
                let before = sent[usize::from(channel)].replace(at);
                prop_assert!(before.is_none_or(|before| at >= before + SPACING));
            }
        }
    }
}

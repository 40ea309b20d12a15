//! What the bot tells people, where the gateway was not asked.

use crate::click::Answer;

/// For an answer that takes longer than Teams waits.
pub(super) const SLOW: &str =
    "It is still being worked on. Open the request again in a moment to see what came of it.";
/// For an invoke of another kind.
pub(super) const UNKNOWN: &str = "This bot answers buttons of its own cards.";

/// For people and conversations of other tenants.
pub(super) fn foreign() -> Answer {
    Answer::refused(
        "foreign-tenant",
        "Nothing was done: this bot serves its own organisation only, and you are of another.",
    )
}

/// For bots, and for accounts without an object id.
pub(super) fn no_person() -> Answer {
    Answer::refused(
        "no-person",
        "Nothing was done: Teams does not say which person of the organisation this is.",
    )
}

/// For guests, and for whom Teams calls neither guest nor user.
pub(super) fn guest() -> Answer {
    Answer::refused("guest", "Nothing was done: guests of the organisation cannot decide here.")
}

/// For whom the conversation does not have.
pub(super) fn no_member() -> Answer {
    Answer::refused(
        "no-member",
        "Nothing was done: Teams says that you are not a member of this conversation.",
    )
}

/// Where Teams does not answer.
pub(super) fn unsure() -> Answer {
    Answer::refused(
        "unsure",
        "Nothing was done: Teams could not be asked who you are. Please try again, or decide in the console.",
    )
}

/// For a denial or a question without words.
pub(super) fn empty() -> Answer {
    Answer::refused("no-words", "Nothing was done: please write a word or two.")
}

/// For words that no record can hold.
pub(super) fn too_long() -> Answer {
    Answer::refused("too-long", "Nothing was done: that is too long. Please say it in fewer words.")
}

/// Where others would read the answer.
pub(super) fn alone() -> Answer {
    Answer::refused("not-alone", "Please write to me in our own chat: what I answer is for you alone.")
}

/// For a press by a client that cannot be answered alone, where others would read the answer.
pub(super) fn among_others() -> Answer {
    Answer::refused(
        "not-alone",
        "Nothing was done: this client cannot show the answer to you alone. Press it in our own chat, or review in the console.",
    )
}

/// What can be written to the bot.
pub(super) fn help() -> Answer {
    Answer::done(
        "I bring requests that wait for your review. Write `link` to connect this account with yours in the console, \
         `inbox` for what waits for you, `unlink` to take the connection away.",
    )
}

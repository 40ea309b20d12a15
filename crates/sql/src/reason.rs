//! The reason that a leading comment gives: `/* countersign: reason="restore order 17" */`.

use domain::action::REASON_LIMIT_BYTES;

/// Reads it from the comments before the text's first word. Within the quotes, `\` stands before `"` and `\`. One that
/// does not read, is empty or is over [`REASON_LIMIT_BYTES`] is none: a reason is the caller's word and grants nothing.
pub(crate) fn leading(text: &str) -> Option<String> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once(['\n', '\r'])?.1;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            let (body, after) = comment.split_once("*/")?;
            // Comments nest, and one that does ends elsewhere.
            if body.contains("/*") {
                return None;
            }
            if let Some(said) = body.trim().strip_prefix("countersign:") {
                return quoted(said.trim().strip_prefix("reason=")?);
            }
            rest = after;
        } else {
            return None;
        }
    }
}

fn quoted(text: &str) -> Option<String> {
    let mut characters = text.strip_prefix('"')?.chars();
    let mut reason = String::new();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => reason.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => reason.push(c),
        }
    }
    (characters.next().is_none() && is_reason(&reason)).then_some(reason)
}

/// Whether a text can be a reason.
pub(crate) fn is_reason(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= REASON_LIMIT_BYTES
}

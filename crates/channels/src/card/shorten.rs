//! Cutting what came in pieces, with whole characters and whole marks.

use domain::text::{Piece, cut};
use gateway::card::Shown;

/// At most so many bytes of some words, and whether that is less than all. A mark is never torn: it stands or it goes.
pub(super) fn shorten(words: &Shown, limit: usize) -> (Shown, bool) {
    let (mut room, mut kept) = (limit, Vec::new());
    for piece in &words.pieces {
        let text = match piece {
            Piece::Plain(text) | Piece::Hidden(text) | Piece::Mixed(text) => text,
        };
        if text.len() > room {
            if let Piece::Plain(text) = piece {
                kept.push(Piece::Plain(format!("{}…", cut(text, room))));
            } else {
                kept.push(Piece::Plain("…".to_owned()));
            }
            return (Shown { pieces: kept, suspicious: words.suspicious }, true);
        }
        room -= text.len();
        kept.push(piece.clone());
    }
    (Shown { pieces: kept, suspicious: words.suspicious }, false)
}

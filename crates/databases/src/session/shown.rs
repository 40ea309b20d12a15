//! What reviewers are shown beside the statement: made when people will be asked, and part of what they sign.

use mask::Masker;
use sql::Statement;
use tokio::time::timeout;

use super::Session;
use super::ask::Asked;
use crate::limits::{PREVIEW_PATIENCE, PREVIEWED_LIMIT};
use crate::payload::PREVIEW;
use crate::preview::{self, Exactly, preview};

impl Session {
    /// The preview of each statement, as one field of plain lines. Nothing where names could not be found.
    pub(super) async fn shown(&self, asked: &Asked) -> Vec<(String, Vec<u8>)> {
        let moment = &asked.question.moment;
        let (Some(picture), Some(names)) = (&moment.picture, &moment.names) else { return Vec::new() };
        let settings = self.standing.database.settings();
        // A document with rules that do not read is refused when it is set.
        let Ok(masker) = Masker::new(&settings.mask) else { return Vec::new() };
        // Whoever asks many times at once waits here, and not at the server.
        let Ok(Ok(_turn)) = timeout(PREVIEW_PATIENCE, self.standing.previews.acquire()).await else {
            const BUSY: &str = "There is no preview: too many are being made.";
            return vec![(PREVIEW.to_owned(), BUSY.as_bytes().to_vec())];
        };
        let catalog = moment.catalog(&self.standing);
        let classified =
            self.standing.classifier.classify(asked.text.as_bytes(), moment.standard_strings, &catalog);
        let many = classified.statements.len() > 1;
        let mut lines = Vec::new();
        for (number, statement) in classified.statements.iter().enumerate().take(PREVIEWED_LIMIT) {
            let Some(text) = asked.text.get(statement.range.clone()) else { continue };
            let question = preview::Asked {
                picture,
                names: &names.session,
                statement,
                text,
                types: &asked.types,
                bind: asked.bind.as_deref(),
                settings: &asked.state,
            };
            // What an earlier statement of the text would do is not done yet.
            let exactly = if settings.exact_preview && is_alone(many, statement) {
                Exactly::Primary
            } else {
                Exactly::Never
            };
            let shown = preview(self.standing.pictures.source(), &question, exactly, &masker).await;
            if many {
                lines.push(format!("Statement {}:", number + 1));
            }
            lines.extend(shown.lines());
        }
        if classified.statements.len() > PREVIEWED_LIMIT {
            lines.push(format!(
                "What stands behind the first {PREVIEWED_LIMIT} statements was not looked at."
            ));
        }
        vec![(PREVIEW.to_owned(), lines.join("\n").into_bytes())]
    }
}

fn is_alone(many: bool, statement: &Statement) -> bool {
    !many && statement.control.is_none()
}

//! `countersign openapi`.

use anyhow::Context as _;

use crate::cli::Ending;
use crate::output::Output;

pub(crate) fn run(output: Output) -> anyhow::Result<Ending> {
    let document = points::rest::openapi();
    output.line(&serde_json::to_string_pretty(&document).context("the document does not write")?);
    Ok(Ending::Fine)
}

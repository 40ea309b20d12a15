//! The trail as the API hands it out: exports, the live tail, and how far each sink is.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use gateway::GatewayError;
use gateway::ports::{ExportFormat, Pieces, Range, SinkStatus, Told, Trail};
use store::Store;
use tokio::sync::mpsc;

use crate::EvidenceError;
use crate::event::walk::Part;
use crate::event::{Place, Walk};
use crate::export::{FORMATS, Format, Ocsf, Shape};
use crate::limits::{LOOK_EVERY, PAGE, PIECES};
use crate::moment;
use crate::sink::{Sinks, Source};

/// The trail of one store, with the lines of this gateway's segments.
pub struct TrailService {
    store: Arc<dyn Store>,
    activity: PathBuf,
    ocsf: Ocsf,
    sinks: Arc<Sinks>,
    node: Option<String>,
}

impl std::fmt::Debug for TrailService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrailService").field("sinks", &self.sinks).finish_non_exhaustive()
    }
}

impl TrailService {
    /// The trail that sinks are fed from, for those who ask for it.
    #[must_use]
    pub fn new(source: Source, sinks: Arc<Sinks>) -> Self {
        let Source { store, activity, ocsf, node } = source;
        Self { store, activity, ocsf, sinks, node }
    }

    fn walk(&self, from: Place) -> Walk {
        Walk::from(Arc::clone(&self.store), self.activity.clone(), from, Part::All).at_node(self.node.clone())
    }

    /// The place that a text names; a time is that of the first entry that is not before it.
    async fn place(&self, text: &str) -> Result<Place, EvidenceError> {
        if let Ok(place) = text.parse::<Place>() {
            return Ok(place);
        }
        let no_place = || EvidenceError::Place(domain::text::cut(text, 64).to_owned());
        let time = moment::read(text).ok_or_else(no_place)?;
        let size = self.store.head().await?.size;
        Ok(Place::entry(store::first_since(self.store.as_ref(), time, size).await?))
    }
}

#[async_trait]
impl Trail for TrailService {
    fn formats(&self) -> &'static [ExportFormat] {
        FORMATS
    }

    async fn export(&self, format: &str, range: Range) -> Result<Pieces<Vec<u8>>, GatewayError> {
        let format = Format::named(format)?;
        let from = match &range.from {
            Some(text) => self.place(text).await?,
            None => Place::default(),
        };
        let head = self.store.head().await?.size;
        let to = match &range.to {
            Some(text) => self.place(text).await?.index.min(head),
            None => head,
        };
        let mut walk = self.walk(from);
        let ocsf = self.ocsf.clone();
        let (send, pieces) = mpsc::channel(PIECES);
        tokio::spawn(async move {
            let mut piece = match format.head() {
                Ok(head) => head,
                Err(error) => {
                    let _ = send.send(Err(error.into())).await;
                    return;
                }
            };
            loop {
                let last = match more(&mut walk, to, format, &ocsf, &mut piece).await {
                    Ok(last) => last,
                    Err(error) => {
                        let _ = send.send(Err(error.into())).await;
                        return;
                    }
                };
                let full = std::mem::take(&mut piece);
                if (!full.is_empty() && send.send(Ok(full)).await.is_err()) || last {
                    return;
                }
            }
        });
        Ok(pieces)
    }

    async fn follow(&self, from: Option<&str>) -> Result<Pieces<Told>, GatewayError> {
        let head = self.store.head().await?.size;
        let from = match from {
            Some(text) => self.place(text).await?,
            None => Place::entry(head),
        };
        // Whoever waits for an index that is not there yet is told from the head on.
        let mut walk = self.walk(if from.index > head { Place::entry(head) } else { from });
        let ocsf = self.ocsf.clone();
        let (send, pieces) = mpsc::channel(PAGE);
        tokio::spawn(async move {
            loop {
                let page = match walk.next(PAGE, None).await {
                    Ok(page) => page,
                    Err(error) => {
                        let _ = send.send(Err(error.into())).await;
                        return;
                    }
                };
                let idle = page.is_empty();
                for told in page {
                    let piece = Shape::Json
                        .text(&told.event, &ocsf)
                        .map(|json| Told { next: told.next.to_string(), json })
                        .map_err(GatewayError::from);
                    if send.send(piece).await.is_err() {
                        return;
                    }
                }
                if idle {
                    tokio::select! {
                        () = send.closed() => return,
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                    }
                }
            }
        });
        Ok(pieces)
    }

    async fn sinks(&self) -> Result<Vec<SinkStatus>, GatewayError> {
        Ok(self.sinks.status(self.store.head().await?.size))
    }
}

/// Writes the next page; true where it was the last.
async fn more(
    walk: &mut Walk,
    to: u64,
    format: Format,
    ocsf: &Ocsf,
    piece: &mut Vec<u8>,
) -> Result<bool, EvidenceError> {
    if walk.place().index >= to {
        return Ok(true);
    }
    let page = walk.next(PAGE, Some(to)).await?;
    for told in &page {
        format.write(&told.event, ocsf, piece)?;
    }
    Ok(walk.place().index >= to || page.is_empty())
}

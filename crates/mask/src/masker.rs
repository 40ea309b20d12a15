//! Masking: what a field holds is found, and shown as masks between the bytes that stay.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::bytes::part;
use crate::class::{Class, Finding, mask_end};
use crate::limits::{ROUNDS_LIMIT, SCAN_LIMIT_BYTES};
use crate::masked::{Masked, Piece};
use crate::rules::{Compiled, Rules, RulesError};
use crate::scan;

/// The detectors together with one route's rules. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Masker(Arc<Compiled>);

impl Default for Masker {
    fn default() -> Self {
        Self(Arc::new(Compiled::standard()))
    }
}

impl Masker {
    /// The detectors with a route's rules.
    ///
    /// # Errors
    /// [`RulesError`] says in words what is wrong with them.
    pub fn new(rules: &Rules) -> Result<Self, RulesError> {
        Compiled::new(rules).map(|compiled| Self(Arc::new(compiled)))
    }

    /// Shows a field's bytes without what the detectors and rules find. `name` is the field's own name where it
    /// has one, such as a header's.
    ///
    /// What remains is scanned again until nothing is found in it. A field over [`SCAN_LIMIT_BYTES`], or in which
    /// that has no end, is masked whole.
    #[must_use]
    pub fn mask(&self, name: Option<&str>, bytes: &[u8]) -> Masked {
        let is_text = std::str::from_utf8(bytes).is_ok();
        let mut spans = match self.spans(name, bytes) {
            Some(spans) => spans,
            None => return whole(bytes, is_text),
        };
        for _ in 0..ROUNDS_LIMIT {
            if spans.is_empty() {
                break;
            }
            let shown = Rendered::new(bytes, &spans);
            let Some(again) = self.spans(name, &shown.bytes) else { return whole(bytes, is_text) };
            let more = again.into_iter().map(|span| shown.back(span));
            let next = merged(bytes, spans.iter().cloned().chain(more).collect());
            if next.iter().map(|span| &span.finding.range).eq(spans.iter().map(|span| &span.finding.range)) {
                return assembled(bytes, spans, is_text);
            }
            spans = next;
        }
        if spans.is_empty() { assembled(bytes, spans, is_text) } else { whole(bytes, is_text) }
    }

    /// A text as people see it: [`Masker::mask`] without a name.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.mask(None, text.as_bytes()).to_string()
    }

    /// Whether a whole field of this name is masked by the route's own rules.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.0.names(name.as_bytes())
    }

    fn spans(&self, name: Option<&str>, bytes: &[u8]) -> Option<Vec<Span>> {
        if bytes.len() > SCAN_LIMIT_BYTES {
            return None;
        }
        let scanned = scan::scan(&self.0, name.map(str::as_bytes), bytes)?;
        Some(merged(bytes, scanned))
    }
}

/// A finding, and whether its mask stands in quotes: where it replaces a bare value of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) finding: Finding,
    pub(crate) quoted: bool,
}

/// Spans in order, those that overlap made one. The class that stands first names the whole.
fn merged(bytes: &[u8], mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| {
        let range = &span.finding.range;
        // What is a mask already is not masked again.
        !range.is_empty() && mask_end(bytes, range.start).is_none_or(|end| end < range.end)
    });
    for span in &mut spans {
        span.finding.range = crate::view::whole_characters(bytes, span.finding.range.clone());
    }
    spans.sort_by_key(|span| (span.finding.range.start, span.finding.range.end, span.finding.class));
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.finding.range.start < last.finding.range.end => last.join(span),
            _ => merged.push(span),
        }
    }
    merged
}

impl Span {
    fn join(&mut self, other: Self) {
        let range = self.finding.range.start.min(other.finding.range.start)
            ..self.finding.range.end.max(other.finding.range.end);
        let quoted =
            (self.quoted && self.finding.range == range) || (other.quoted && other.finding.range == range);
        let larger = range != other.finding.range && range != self.finding.range;
        if other.finding.class < self.finding.class {
            self.finding = other.finding;
        }
        if larger || self.finding.range != range {
            self.finding.last_four = None;
        }
        (self.finding.range, self.quoted) = (range, quoted);
    }
}

/// The masked bytes, and the way back.
struct Rendered {
    bytes: Vec<u8>,
    /// Stretches: where each begins and ends here, and there.
    stretches: Vec<(Range<usize>, Range<usize>, bool)>,
}

impl Rendered {
    fn new(bytes: &[u8], spans: &[Span]) -> Self {
        let mut shown = Self { bytes: Vec::with_capacity(bytes.len()), stretches: Vec::new() };
        let mut position = 0;
        for span in spans {
            shown.push(
                part(bytes, position..span.finding.range.start),
                position..span.finding.range.start,
                true,
            );
            shown.push(span.mask().as_bytes(), span.finding.range.clone(), false);
            position = span.finding.range.end;
        }
        shown.push(part(bytes, position..bytes.len()), position..bytes.len(), true);
        shown
    }

    fn push(&mut self, bytes: &[u8], there: Range<usize>, verbatim: bool) {
        let here = self.bytes.len()..self.bytes.len() + bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.stretches.push((here, there, verbatim));
    }

    fn back(&self, mut span: Span) -> Span {
        let range = &span.finding.range;
        let start = self.stretch(range.start).map_or(0, |(here, there, verbatim)| {
            if *verbatim { there.start + (range.start - here.start) } else { there.start }
        });
        let last = range.end.saturating_sub(1);
        let end = self.stretch(last).map_or(0, |(here, there, verbatim)| {
            if *verbatim { there.start + (range.end - here.start) } else { there.end }
        });
        span.finding.range = start..end;
        span
    }

    fn stretch(&self, position: usize) -> Option<&(Range<usize>, Range<usize>, bool)> {
        let next = self.stretches.partition_point(|(here, ..)| here.start <= position);
        // Of several that begin here the last is the one that is not empty.
        next.checked_sub(1).and_then(|last| self.stretches.get(last))
    }
}

impl Span {
    fn mask(&self) -> String {
        let mask = self.finding.mask();
        if self.quoted { format!("\"{mask}\"") } else { mask }
    }
}

fn assembled(bytes: &[u8], spans: Vec<Span>, is_text: bool) -> Masked {
    let mut pieces = Vec::with_capacity(spans.len() * 2 + 1);
    let mut position = 0;
    for span in &spans {
        let open = part(bytes, position..span.finding.range.start);
        if !open.is_empty() {
            pieces.push(Piece::Open(open.to_vec()));
        }
        pieces.push(Piece::Masked { class: span.finding.class, mask: span.mask() });
        position = span.finding.range.end;
    }
    let rest = part(bytes, position..bytes.len());
    if !rest.is_empty() {
        pieces.push(Piece::Open(rest.to_vec()));
    }
    Masked { pieces, findings: spans.into_iter().map(|span| span.finding).collect(), is_text }
}

fn whole(bytes: &[u8], is_text: bool) -> Masked {
    let finding = Finding {
        range: 0..bytes.len(),
        class: Class::Unscanned,
        detector: Cow::Borrowed("limit"),
        last_four: None,
    };
    assembled(bytes, vec![Span { finding, quoted: false }], is_text)
}

//! Path templates: `/api/queues/{vhost}/{name}`, `/files/{rest...}`, `/v1/{name}:purge`.
//!
//! A variable takes exactly one segment, or what stands of it between fixed ends; `{name...}`, as the
//! last segment, takes one or more. Literal text is held against canonical text, byte by byte.

use super::path::{self, CanonicalPath};
use super::refusal::Refusal;

/// The longest template, in bytes.
pub const TEMPLATE_LIMIT_BYTES: usize = 1_024;
/// The most variables of a template.
pub const VARIABLES_LIMIT: usize = 16;
/// The longest name of a variable, in bytes.
pub const VARIABLE_NAME_LIMIT_BYTES: usize = 64;

/// A path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    trailing_slash: bool,
    opaque: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Variable { before: String, name: String, after: String },
    Rest(String),
}

/// What the variables of a template took: canonical text, still encoded.
pub type Captures<'a> = Vec<(&'a str, String)>;

/// How specific a template is, segment by segment: the smaller rank is the more specific template.
pub type Rank = Vec<(u8, std::cmp::Reverse<usize>)>;

/// How two templates' paths relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// No path fits both.
    Disjoint,
    /// The same paths fit both.
    Same,
    /// Every path of this one fits the other.
    Narrower,
    /// Every path of the other fits this one.
    Wider,
    /// Some paths fit both, and neither holds all of the other.
    Crossing,
}

impl Template {
    /// Reads a template. Literal text is made canonical as paths are.
    ///
    /// # Errors
    /// In words: no leading `/`, text that no canonical path can have, two variables in one segment, a
    /// name that stands twice, `{name...}` before the end, or a limit.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > TEMPLATE_LIMIT_BYTES {
            return Err(format!("a template has at most {TEMPLATE_LIMIT_BYTES} bytes"));
        }
        let rest = text.strip_prefix('/').ok_or("a template begins with `/`")?;
        let mut parts: Vec<&str> = rest.split('/').collect();
        let ends_empty = parts.last().is_some_and(|part| part.is_empty());
        if ends_empty {
            parts.pop();
        }
        let trailing_slash = ends_empty && !parts.is_empty();
        let mut template = Self { segments: Vec::new(), trailing_slash, opaque: false };
        for (at, part) in parts.iter().enumerate() {
            let (segment, opaque) = read_segment(part)?;
            if matches!(segment, Segment::Rest(_)) && (at + 1 < parts.len() || trailing_slash) {
                return Err(format!("`{part}` may only stand last"));
            }
            template.opaque |= opaque;
            template.segments.push(segment);
        }
        let names = template.variables();
        if names.len() > VARIABLES_LIMIT {
            return Err(format!("a template has at most {VARIABLES_LIMIT} variables"));
        }
        if let Some(twice) =
            names.iter().enumerate().find(|(at, name)| names.iter().skip(at + 1).any(|n| n == *name))
        {
            return Err(format!("the variable `{}` stands twice", twice.1));
        }
        Ok(template)
    }

    /// The variables' names, in order.
    #[must_use]
    pub fn variables(&self) -> Vec<&str> {
        let name = |segment| match segment {
            &Segment::Literal(_) => None,
            Segment::Variable { name, .. } | Segment::Rest(name) => Some(name.as_str()),
        };
        self.segments.iter().filter_map(name).collect()
    }

    /// Whether a literal holds an encoded slash, which only routes with `opaque_slashes` have.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// The captures, where the path fits.
    #[must_use]
    pub fn captures(&self, path: &CanonicalPath) -> Option<Captures<'_>> {
        let mut captures = Vec::new();
        let mut parts = path.segments();
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => {
                    if parts.next()? != text {
                        return None;
                    }
                }
                Segment::Variable { before, name, after } => {
                    captures.push((name.as_str(), between(parts.next()?, before, after)?.to_owned()));
                }
                Segment::Rest(name) => {
                    let mut rest: Vec<&str> = parts.by_ref().collect();
                    if rest.is_empty() {
                        return None;
                    }
                    if path.has_trailing_slash() {
                        rest.push("");
                    }
                    captures.push((name.as_str(), rest.join("/")));
                    return Some(captures);
                }
            }
        }
        (parts.next().is_none() && path.has_trailing_slash() == self.trailing_slash).then_some(captures)
    }

    /// Whether a lenient server could take the path for this template's: one that decodes everything, ignores
    /// case, and does not mind a slash at the end. The segments come from [`loosened`].
    #[must_use]
    pub fn nearly_fits(&self, loose: &[Vec<u8>]) -> bool {
        let mut parts = loose.iter();
        for segment in &self.segments {
            let Some(part) = parts.next() else { return false };
            match segment {
                Segment::Literal(text) => {
                    if *part != loosen(text) {
                        return false;
                    }
                }
                Segment::Variable { before, after, .. } => {
                    let (before, after) = (loosen(before), loosen(after));
                    if part.len() <= before.len() + after.len()
                        || !part.starts_with(&before)
                        || !part.ends_with(&after)
                    {
                        return false;
                    }
                }
                Segment::Rest(_) => return true,
            }
        }
        parts.next().is_none()
    }

    /// How specific the template is: literals first, then variables with the longest fixed ends, then plain
    /// variables, then `{name...}`; the first segment that differs decides.
    #[must_use]
    pub fn rank(&self) -> Rank {
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => (0, std::cmp::Reverse(0)),
            Segment::Variable { before, after, .. } => (1, std::cmp::Reverse(before.len() + after.len())),
            Segment::Rest(_) => (2, std::cmp::Reverse(0)),
        };
        self.segments.iter().map(rank).collect()
    }

    /// How this template's paths relate to another's.
    #[must_use]
    pub fn relation(&self, other: &Self) -> Relation {
        let mut all = Relation::Same;
        let (mut ours, mut theirs) = (self.segments.iter(), other.segments.iter());
        loop {
            let relation = match (ours.next(), theirs.next()) {
                (None, None) if self.trailing_slash == other.trailing_slash => return all,
                (None, _) | (_, None) => return Relation::Disjoint,
                (Some(Segment::Rest(_)), Some(Segment::Rest(_))) => return all,
                (Some(Segment::Rest(_)), Some(_)) => return all.and(Relation::Wider),
                (Some(_), Some(Segment::Rest(_))) => return all.and(Relation::Narrower),
                (Some(one), Some(two)) => one.relation(two),
            };
            all = all.and(relation);
            if all == Relation::Disjoint {
                return all;
            }
        }
    }
}

impl Segment {
    fn relation(&self, other: &Self) -> Relation {
        match (self, other) {
            (Self::Literal(one), Self::Literal(two)) if one == two => Relation::Same,
            (Self::Literal(text), Self::Variable { before, after, .. })
                if between(text, before, after).is_some() =>
            {
                Relation::Narrower
            }
            (Self::Variable { before, after, .. }, Self::Literal(text))
                if between(text, before, after).is_some() =>
            {
                Relation::Wider
            }
            (Self::Variable { before, after, .. }, Self::Variable { before: before2, after: after2, .. }) => {
                let in_ours = before2.starts_with(before.as_str()) && after2.ends_with(after.as_str());
                let in_theirs = before.starts_with(before2.as_str()) && after.ends_with(after2.as_str());
                let meet = (before.starts_with(before2.as_str()) || before2.starts_with(before.as_str()))
                    && (after.ends_with(after2.as_str()) || after2.ends_with(after.as_str()));
                match (in_theirs, in_ours, meet) {
                    (true, true, _) => Relation::Same,
                    (true, false, _) => Relation::Narrower,
                    (false, true, _) => Relation::Wider,
                    (false, false, true) => Relation::Crossing,
                    (false, false, false) => Relation::Disjoint,
                }
            }
            (Self::Rest(_), Self::Rest(_)) => Relation::Same,
            (Self::Rest(_), Self::Literal(_) | Self::Variable { .. }) => Relation::Wider,
            (Self::Literal(_) | Self::Variable { .. }, Self::Rest(_)) => Relation::Narrower,
            (Self::Literal(_), Self::Literal(_) | Self::Variable { .. })
            | (Self::Variable { .. }, Self::Literal(_)) => Relation::Disjoint,
        }
    }
}

impl Relation {
    /// The relation of two templates whose next segments relate like this.
    fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::Disjoint, _) | (_, Self::Disjoint) => Self::Disjoint,
            (Self::Same, other) | (other, Self::Same) => other,
            (Self::Narrower, Self::Narrower) => Self::Narrower,
            (Self::Wider, Self::Wider) => Self::Wider,
            (Self::Crossing, _)
            | (_, Self::Crossing)
            | (Self::Narrower, Self::Wider)
            | (Self::Wider, Self::Narrower) => Self::Crossing,
        }
    }
}

/// A resource's name with variables: `queues/{vhost}/{name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

impl Naming {
    /// Reads a naming whose variables are the path template's, each at most once.
    ///
    /// # Errors
    /// In words: a variable that the path does not have or that stands twice, stray braces, text that is not
    /// visible ASCII, or a limit.
    pub fn read(text: &str, known: &[&str]) -> Result<Self, String> {
        if text.is_empty() || text.len() > TEMPLATE_LIMIT_BYTES || !text.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(format!("1 to {TEMPLATE_LIMIT_BYTES} visible ASCII characters are expected"));
        }
        let mut pieces = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once('{') {
            let (name, tail) = tail.split_once('}').ok_or("a `{` is not closed")?;
            // The same name as the path writes it.
            let name = name.strip_suffix("...").unwrap_or(name);
            if before.contains('}') {
                return Err("a `}` has no `{`".to_owned());
            }
            if !known.contains(&name) {
                return Err(format!("the path has no variable `{name}`"));
            }
            if seen.contains(&name) {
                return Err(format!("the variable `{name}` stands twice"));
            }
            seen.push(name);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Variable(name.to_owned()));
            rest = tail;
        }
        if rest.contains('}') {
            return Err("a `}` has no `{`".to_owned());
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The name with what the path's variables took.
    #[must_use]
    pub fn fill(&self, captures: &Captures<'_>) -> String {
        let value = |name: &str| {
            captures.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text.as_str())
        };
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Variable(name) => filled.push_str(value(name)),
            }
        }
        filled
    }
}

/// A path's segments as a lenient server sees them: all escapes decoded, ASCII letters small.
#[must_use]
pub fn loosened(path: &CanonicalPath) -> Vec<Vec<u8>> {
    path.segments().map(loosen).collect()
}

fn loosen(text: &str) -> Vec<u8> {
    path::decoded(text).to_ascii_lowercase()
}

/// What stands between the fixed ends; never nothing, and never half an escape.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let middle = text.strip_prefix(before)?.strip_suffix(after)?;
    let mut tail = middle.bytes().rev();
    let cut = tail.next() == Some(b'%') || tail.next() == Some(b'%');
    (!middle.is_empty() && !cut).then_some(middle)
}

fn read_segment(part: &str) -> Result<(Segment, bool), String> {
    let Some((before, rest)) = part.split_once('{') else {
        if part.contains('}') {
            return Err(format!("`{part}` has a `}}` without `{{`"));
        }
        let (text, opaque) = literal(part)?;
        if text.is_empty() || text == "." {
            return Err("a template has no empty segment and no dot segment".to_owned());
        }
        return Ok((Segment::Literal(text), opaque));
    };
    let (name, after) =
        rest.split_once('}').ok_or_else(|| format!("`{part}` has a `{{` that is not closed"))?;
    if after.contains(['{', '}']) || before.contains('}') {
        return Err(format!("`{part}` has more than one variable in a segment"));
    }
    let (name, is_rest) = match name.strip_suffix("...") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > VARIABLE_NAME_LIMIT_BYTES || !name.bytes().all(ok) {
        return Err(format!(
            "`{name}` names no variable: 1 to {VARIABLE_NAME_LIMIT_BYTES} letters, digits, `_`, `-` and `.` are expected"
        ));
    }
    if is_rest {
        if !before.is_empty() || !after.is_empty() {
            return Err(format!("`{part}`: nothing may stand beside a variable that takes the rest"));
        }
        return Ok((Segment::Rest(name.to_owned()), false));
    }
    let ((before, opaque_before), (after, opaque_after)) = (literal(before)?, literal(after)?);
    Ok((Segment::Variable { before, name: name.to_owned(), after }, opaque_before || opaque_after))
}

fn literal(text: &str) -> Result<(String, bool), String> {
    match path::segment(text.as_bytes()) {
        Ok(literal) => Ok(literal),
        // Fixed text beside a variable may be a dot: `{name}.json` begins with one, `.{name}` ends with one.
        Err(Refusal::DotSegment) if text == "." => Ok((".".to_owned(), false)),
        Err(refusal) => Err(format!("`{text}` cannot stand in a path: {refusal}")),
    }
}

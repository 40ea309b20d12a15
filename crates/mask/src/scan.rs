//! Finding: a field is read in every way in which somebody could read it, and each reading goes through the
//! detectors. What is found stands at its place in the original.

use std::borrow::Cow;
use std::ops::Range;

use crate::bytes::{at, before, of_name, part, run, run_back};
use crate::class::{Class, Finding, mask_end};
use crate::detect::{email, ip, named, number, prefix, url, wrapped};
use crate::json::{self, Kind, Step};
use crate::limits::{ESCAPE_LEVELS, FINDINGS_LIMIT, NAME_LIMIT_BYTES, VALUE_LIMIT_BYTES};
use crate::masker::Span;
use crate::names::{self, Word, telling};
use crate::rules::Compiled;
use crate::table;
use crate::view::{self, View};

/// Everything in a field, in no order; none where there is more than [`FINDINGS_LIMIT`] of it.
pub(crate) fn scan(rules: &Compiled, name: Option<&[u8]>, bytes: &[u8]) -> Option<Vec<Span>> {
    let mut sink = Sink { rules, found: Vec::new() };
    if let Some(name) = name {
        by_name(&mut sink, name, bytes);
    }
    let first = sink.found.len();
    let form = form_of(bytes);
    readings(&mut sink, bytes, form.is_some());
    let mut kept = Vec::new();
    let mut bare = Vec::new();
    if json::begins(bytes) {
        in_json(&mut sink, first, bytes, &mut kept, &mut bare);
    }
    in_table(&mut sink, bytes);
    if let Some(form) = form {
        in_form(&mut sink, bytes, form, &mut kept);
    }
    if sink.found.len() > FINDINGS_LIMIT {
        return None;
    }
    if std::str::from_utf8(bytes).is_err() && !sink.found.is_empty() {
        // No text: what else stands beside a finding nobody can tell.
        let first = sink.found.iter().map(|finding| finding.class).min().unwrap_or(Class::Unscanned);
        return Some(vec![Span { finding: Finding::new(0..bytes.len(), first, "binary"), quoted: false }]);
    }
    let (kept, bare) = (outermost(kept), outermost(bare));
    sink.found.retain(|finding| finding.class == Class::Rule || around(&kept, &finding.range).is_none());
    Some(sink.found.into_iter().map(|finding| in_quotes(finding, &bare)).collect())
}

/// Takes what is looked for.
struct Sink<'r> {
    rules: &'r Compiled,
    found: Vec<Finding>,
}

impl Sink<'_> {
    fn push(&mut self, mut finding: Finding) {
        let is_wanted = finding.class == Class::Rule || self.rules.looks_for(finding.class);
        if is_wanted && !finding.range.is_empty() && self.found.len() <= FINDINGS_LIMIT {
            if !self.rules.last_four {
                finding.last_four = None;
            }
            self.found.push(finding);
        }
    }
}

/// A field whose own name tells.
fn by_name(sink: &mut Sink<'_>, name: &[u8], bytes: &[u8]) {
    let whole = |class, detector| Finding::new(0..bytes.len(), class, detector);
    if sink.rules.names(name) {
        sink.push(whole(Class::Rule, "name"));
    }
    if let Some((class, detector)) = telling(name).and_then(|told| named::of_field(told, bytes)) {
        sink.push(whole(class, detector));
    }
}

/// The text as it stands, without its escapes, and without its percent encoding.
fn readings(sink: &mut Sink<'_>, bytes: &[u8], form: bool) {
    let start = sink.found.len();
    detect(sink, bytes, true);
    let mut views: Vec<View> = Vec::new();
    for _ in 0..ESCAPE_LEVELS {
        let source = views.last().map_or(bytes, |view| view.text.as_slice());
        let Some(view) = view::unescaped(source) else { break };
        views.push(view);
    }
    if let Some(first) = views.first() {
        for finding in sink.found.iter_mut().skip(start) {
            finding.range = first.whole_escapes(finding.range.clone());
        }
    }
    for depth in 0..views.len() {
        let through = views.get(..=depth).unwrap_or_default();
        within(sink, through, form);
    }
    let source = views.last().map_or(bytes, |view| view.text.as_slice());
    if let Some(view) = view::percent_decoded(source, form) {
        views.push(view);
        within(sink, &views, form);
        views.pop();
    }
    if let Some(view) = view::without_zeros(bytes) {
        within(sink, &[view], form);
    }
}

/// What stands in the last of these views, each of which reads the one before.
fn within(sink: &mut Sink<'_>, views: &[View], _form: bool) {
    let Some(last) = views.last() else { return };
    let start = sink.found.len();
    detect(sink, &last.text, true);
    for finding in sink.found.iter_mut().skip(start) {
        let range = finding.range.clone();
        finding.range = views.iter().rev().fold(range, |range, view| view.back(&range));
    }
}

/// One reading of a text through all detectors.
fn detect(sink: &mut Sink<'_>, text: &[u8], with_base64: bool) {
    let words: Vec<names::Found> = names::found(text).collect();
    prefix::find(text, |finding| sink.push(finding));
    in_words(sink, text, &words);
    if sink.rules.looks_for(Class::Email) {
        email::find(text, |finding| sink.push(finding));
    }
    let with_ip = sink.rules.looks_for(Class::Ip);
    if with_ip {
        ip::v6(text, |finding| sink.push(finding));
    }
    number::find(text, &words, with_ip, |finding| sink.push(finding));
    by_rule(sink, text);
    if with_base64 {
        in_base64(sink, text);
    }
}

fn in_words(sink: &mut Sink<'_>, text: &[u8], words: &[names::Found]) {
    let mut after = 0;
    for word in words {
        let finding = match word.word {
            Word::Stem if word.start >= after => {
                let (finding, next) = named::beside(text, word.start, word.end);
                after = next;
                finding
            }
            Word::Bearer => named::bearer(text, word.end),
            Word::Basic => named::basic(text, word.end),
            Word::Curl => named::curl(text, word.end),
            Word::Mysql => named::mysql(text, word.end),
            Word::Stem | Word::Phone | Word::Identity => None,
        };
        if let Some(finding) = finding {
            sink.push(finding);
        }
    }
}

/// The route's own patterns and names in running text.
fn by_rule(sink: &mut Sink<'_>, text: &[u8]) {
    let rules = sink.rules;
    for (name, regex) in &rules.patterns {
        for found in regex.find_iter(text) {
            let mut finding = Finding::new(found.range(), Class::Rule, "");
            finding.detector = Cow::Owned(name.clone());
            sink.push(finding);
        }
    }
    if rules.names.is_empty() {
        return;
    }
    for sign in memchr::memchr2_iter(b'=', b':', text) {
        let quote = |byte: u8| matches!(byte, b'"' | b'\'' | b' ' | b'\t' | b'\\');
        let end = run_back(text, sign, 4, quote);
        let start = run_back(text, end, NAME_LIMIT_BYTES, of_name);
        if start == end || !rules.names(part(text, start..end)) {
            continue;
        }
        let from = run(text, sign + 1, 8, |byte| quote(byte) || byte == b'=');
        let stop: fn(u8) -> bool = if matches!(before(text, from), b'"' | b'\'') {
            |byte| !matches!(byte, b'"' | b'\'' | b'\n')
        } else {
            |byte| byte > b' ' && !matches!(byte, b',' | b';' | b'&' | b'"' | b'\'' | b'}' | b']')
        };
        let to = run(text, from, VALUE_LIMIT_BYTES, stop);
        // A longer value is masked to the end of the text rather than shown from somewhere on.
        let to = if to - from >= VALUE_LIMIT_BYTES { run(text, to, usize::MAX, stop) } else { to };
        if mask_end(text, from).is_none_or(|end| end < to) {
            sink.push(Finding::new(from..to, Class::Rule, "name"));
        }
    }
}

/// A text in base64 in which anything stands is masked whole.
fn in_base64(sink: &mut Sink<'_>, text: &[u8]) {
    let rules = sink.rules;
    wrapped::each(text, |range, decoded| {
        let mut inner = Sink { rules, found: Vec::new() };
        detect(&mut inner, decoded, false);
        if let Some(first) = inner.found.into_iter().min_by_key(|finding| finding.class) {
            sink.push(Finding { range, class: first.class, detector: first.detector, last_four: None });
        }
    });
}

/// Names and paths of JSON. Where a route has rules by path, a text that begins as JSON and is none is masked whole:
/// what the rules mean stands somewhere in it. `first` is where what the readings found begins.
fn in_json(
    sink: &mut Sink<'_>,
    first: usize,
    bytes: &[u8],
    kept: &mut Vec<Range<usize>>,
    bare: &mut Vec<Range<usize>>,
) {
    let rules = sink.rules;
    let read = first..sink.found.len();
    let mut strings = Vec::new();
    let is_json = json::walk(bytes, &mut |path, range, kind| {
        if matches!(kind, Kind::Key | Kind::Text) {
            strings.push(range.clone());
        }
        if kind == Kind::Key {
            return;
        }
        if rules.keep.iter().any(|keep| keep.is(path)) {
            kept.push(range.clone());
        }
        if kind == Kind::Number {
            bare.push(range.clone());
        }
        let name = path.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_ref()),
            Step::Index(_) => None,
        });
        let own = match path.last() {
            Some(Step::Key(key)) => rules.names(key),
            Some(Step::Index(_)) | None => false,
        };
        if own || rules.paths.iter().any(|rule| rule.is(path)) {
            if matches!(kind, Kind::Container | Kind::Literal) {
                bare.push(range.clone());
            }
            sink.push(Finding::new(range.clone(), Class::Rule, if own { "name" } else { "path" }));
        }
        if !matches!(kind, Kind::Text | Kind::Number) {
            return;
        }
        let Some(told) = name.and_then(telling) else { return };
        let raw = part(bytes, range.clone());
        let value = view::unescaped(raw).map_or(Cow::Borrowed(raw), |view| Cow::Owned(view.text));
        if let Some((class, detector)) = named::of_field(told, &value) {
            sink.push(Finding::new(range, class, detector));
        }
    });
    if is_json {
        // What a name in one string seems to say of another is what the walk says better.
        let by_name = |finding: &Finding| {
            matches!(finding.detector.as_ref(), "named" | "named-token" | "code" | "name")
        };
        let mut place = 0..;
        sink.found.retain(|finding| {
            let is_read = place.next().is_some_and(|place| read.contains(&place));
            !(is_read && by_name(finding)) || around(&strings, &finding.range).is_some()
        });
    }
    if !is_json && !rules.paths.is_empty() {
        sink.push(Finding::new(0..bytes.len(), Class::Rule, "unreadable"));
    }
}

/// Columns of a table whose names tell.
fn in_table(sink: &mut Sink<'_>, bytes: &[u8]) {
    let rules = sink.rules;
    let speaks =
        |name: &[u8]| names::found(name).any(|found| matches!(found.word, Word::Phone | Word::Identity));
    let wanted = |name: &[u8]| rules.names(name) || telling(name).is_some() || speaks(name);
    table::walk(bytes, wanted, |name, cell| {
        let value = part(bytes, cell.clone());
        if rules.names(name) {
            sink.push(Finding::new(cell.clone(), Class::Rule, "name"));
        }
        if let Some((class, detector)) = telling(name).and_then(|told| named::of_field(told, value)) {
            sink.push(Finding::new(cell.clone(), class, detector));
        }
        if speaks(name) {
            let line = [name, b": ", value].concat();
            let words: Vec<names::Found> = names::found(&line).collect();
            number::find(&line, &words, false, |mut finding| {
                let shift = |position: usize| (position + cell.start).saturating_sub(name.len() + 2);
                finding.range = shift(finding.range.start)..shift(finding.range.end);
                sink.push(finding);
            });
        }
    });
}

/// Where a form or a query begins in a text without white space; none where there is none.
fn form_of(bytes: &[u8]) -> Option<usize> {
    let graphic =
        bytes.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'{'));
    if !graphic || !bytes.contains(&b'=') {
        return None;
    }
    Some(memchr::memchr(b'?', bytes).map_or(0, |mark| mark + 1))
}

/// Names and paths of a form's parameters (WHATWG URL, application/x-www-form-urlencoded).
fn in_form(sink: &mut Sink<'_>, bytes: &[u8], from: usize, kept: &mut Vec<Range<usize>>) {
    let rules = sink.rules;
    let decoded =
        |text| view::percent_decoded(text, true).map_or(Cow::Borrowed(text), |view| Cow::Owned(view.text));
    let mut start = from;
    while start < bytes.len() {
        let end = run(bytes, start, usize::MAX, |byte| !matches!(byte, b'&' | b';' | b'#'));
        let equals = run(bytes, start, end - start, |byte| byte != b'=');
        if at(bytes, equals) == b'=' && equals < end {
            let name = decoded(part(bytes, start..equals));
            let range = equals + 1..end;
            let path = [Step::Key(name)];
            let [Step::Key(name)] = &path else { return };
            if rules.keep.iter().any(|keep| keep.is(&path)) {
                kept.push(range.clone());
            }
            if rules.names(name) || rules.paths.iter().any(|rule| rule.is(&path)) {
                sink.push(Finding::new(range.clone(), Class::Rule, "name"));
            }
            let value = decoded(part(bytes, range.clone()));
            let found = telling(name).filter(|_| !url::is_placeholder(&value));
            if let Some((class, detector)) = found.and_then(|told| named::of_field(told, &value)) {
                sink.push(Finding::new(range, class, detector));
            }
        }
        start = end + 1;
    }
}

/// A mask in place of a bare value of JSON stands in quotes, so that what is JSON stays JSON.
fn in_quotes(mut finding: Finding, bare: &[Range<usize>]) -> Span {
    let within = around(bare, &finding.range);
    if let Some(bare) = within {
        finding.range = bare.clone();
    }
    Span { finding, quoted: within.is_some() }
}

/// Ranges in order, without those that stand within others.
fn outermost(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut end = 0;
    ranges.retain(|range| {
        let is_outer = range.end > end;
        end = end.max(range.end);
        is_outer
    });
    ranges
}

/// The one of these ranges, none of which overlaps another, within which the range stands.
fn around<'r>(ranges: &'r [Range<usize>], range: &Range<usize>) -> Option<&'r Range<usize>> {
    let next = ranges.partition_point(|other| other.start <= range.start);
    ranges.get(next.checked_sub(1)?).filter(|other| range.end <= other.end)
}

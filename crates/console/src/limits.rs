//! The console's limits, in one place, each with its unit.

/// How many pages of the store's listing the inbox looks through for what is open; with pages of 200
/// that is 1,000 requests. What is beyond is said, not hidden.
pub(crate) const INBOX_PAGES: usize = 5;
/// How many rows of the inbox are looked into for what their viewer may not open.
pub(crate) const LOOKED_INTO: usize = 64;
/// How many ended requests one page of the inbox shows.
pub(crate) const DONE_ROWS: usize = 50;
/// How many records one page of the trail shows.
pub(crate) const TRAIL_ROWS: usize = 50;
/// How many earlier runs of the same shape the request page names.
pub(crate) const PRIOR_ROWS: usize = 5;
/// The longest `next` after signing in, in bytes.
pub(crate) const NEXT_BYTES: usize = 512;
/// The score from which on an approval takes typing the resource's name.
pub(crate) const HIGH_RISK: i64 = 70;
/// The score from which on a risk is shown as considerable.
pub(crate) const RAISED_RISK: i64 = 35;
/// The longest resource name that a reviewer is asked to type, in characters; beyond, the target's name.
pub(crate) const TYPED_CHARS: usize = 48;
/// The shortest run of one kind of white space that is shown as a count instead, in characters: padding.
pub(crate) const PADDING_CHARS: usize = 12;
/// The largest part that is also shown laid out as JSON, in bytes.
pub(crate) const LAID_OUT_BYTES: usize = 256 << 10;
/// The most lines of a policy that are compared line by line; beyond, the new text stands alone.
pub(crate) const COMPARED_LINES: usize = 2_000;
/// How long browsers keep a file whose address names its version, in seconds: a year.
pub(crate) const STATIC_SECONDS: u64 = 31_536_000;

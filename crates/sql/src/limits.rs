//! Every limit, with its unit. What is over one is not understood, and whoever asks is told why.

/// The longest text that is parsed, in bytes. While it is read, a dense text takes some 400 times its size in memory (380 KB
/// of `1,1,…` took 153 MB); only one is read at a time.
pub const TEXT_LIMIT_BYTES: usize = 512 * 1024;
/// The most statements in one text.
pub const STATEMENTS_LIMIT: usize = 1_000;
/// The most nodes in the tree of one text.
pub const NODES_LIMIT: usize = 400_000;
/// The deepest that a tree may nest, in messages; an expression takes two. It is the decoder's own (prost 0.13), and
/// repeated here so that a test notices where it changes.
pub const DEPTH_LIMIT_MESSAGES: usize = 100;
/// The most atoms of one statement, what rules, views and cascades add included.
pub const ATOMS_LIMIT: usize = 2_000;
/// The most names that one statement uses, those in views and rules included.
pub const USES_LIMIT: usize = 2_000;
/// How deep views, rules and cascades are followed.
pub const FOLLOW_LIMIT: usize = 16;
/// The most texts that the cache keeps.
pub const CACHE_ENTRIES_LIMIT: usize = 4_096;
/// The most memory that the cache's texts and trees take, in bytes.
pub const CACHE_LIMIT_BYTES: usize = 32 * 1024 * 1024;
/// The longest text that the cache keeps, in bytes: longer ones are bulk data, and do not come again.
pub const CACHED_TEXT_LIMIT_BYTES: usize = 16 * 1024;

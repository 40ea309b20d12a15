//! Writing a bundle: the manifest from what the files turned out to be, and then the files.

use std::io::{self, Read, Write};

use domain::canonical;
use domain::digest::Blob;
use domain::id::Origin;

use super::manifest::{File, Format, Kind, MANIFEST, Manifest};
use super::tar;

/// What a bundle is of, as its manifest says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The log.
    pub origin: Origin,
    /// What the bundle is of.
    pub kind: Kind,
    /// How many lines `entries.jsonl` and `leaves.jsonl` have together.
    pub entries: u64,
    /// How many requests stand among them.
    pub cases: u64,
}

/// A file that is ready to be written.
#[derive(Debug)]
pub struct Part<R> {
    /// Its name, one of those in [`super::manifest`].
    pub name: String,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its content, of exactly that length.
    pub content: R,
}

/// How long the bundle of these parts is, in bytes.
///
/// # Errors
/// As [`write_bundle`], before anything is written.
pub fn length<R>(outline: &Outline, parts: &[Part<R>]) -> io::Result<u64> {
    let files = parts.iter().map(|part| part.bytes);
    let whole = |bytes: u64| (tar::BLOCK_BYTES as u64) + bytes + tar::padding(bytes) as u64;
    let manifest = manifest(outline, parts)?.len() as u64;
    Ok(std::iter::once(manifest).chain(files).map(whole).sum::<u64>() + tar::END_BYTES as u64)
}

/// Writes a bundle. The parts stand in their order.
///
/// # Errors
/// A manifest that its own reader refuses, a file over [`tar::FILE_LIMIT_BYTES`] or of another length than it says; what
/// reading and writing fail with.
pub fn write_bundle<R: Read>(out: &mut impl Write, outline: &Outline, parts: Vec<Part<R>>) -> io::Result<()> {
    let manifest = manifest(outline, &parts)?;
    let mut buffer = Part {
        name: MANIFEST.to_owned(),
        bytes: manifest.len() as u64,
        sha256: [0; 32],
        content: manifest.as_slice(),
    };
    write_part(out, &mut buffer)?;
    for mut part in parts {
        write_part(out, &mut part)?;
    }
    out.write_all(&[0; tar::END_BYTES])?;
    out.flush()
}

fn manifest<R>(outline: &Outline, parts: &[Part<R>]) -> io::Result<Vec<u8>> {
    let Outline { origin, kind, entries, cases } = outline.clone();
    let file = |part: &Part<R>| File {
        name: part.name.clone(),
        bytes: part.bytes,
        sha256: Blob(part.sha256.to_vec()),
    };
    let files = parts.iter().map(file).collect();
    let manifest = Manifest { format: Format::V1, origin, kind, entries, cases, files };
    let bytes = canonical::write(&manifest).map_err(io::Error::other)?;
    Manifest::read(&bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn write_part<R: Read>(out: &mut impl Write, part: &mut Part<R>) -> io::Result<()> {
    if part.bytes > tar::FILE_LIMIT_BYTES {
        return Err(io::Error::other(format!(
            "`{}` is too large for a bundle: ask for a shorter period",
            part.name
        )));
    }
    out.write_all(&tar::header(&part.name, part.bytes))?;
    let copied = io::copy(&mut part.content.by_ref().take(part.bytes), out)?;
    if copied != part.bytes {
        return Err(io::Error::other(format!("`{}` is shorter than it was", part.name)));
    }
    let zeros = [0; tar::BLOCK_BYTES];
    out.write_all(zeros.get(..tar::padding(part.bytes)).unwrap_or_default())
}

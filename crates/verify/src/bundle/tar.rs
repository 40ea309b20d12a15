//! A tape archive (POSIX ustar) of which every byte is determined by the names, sizes and contents of its files: one
//! spelling, so that no byte of a bundle can be changed unseen, and any `tar` opens it.
//!
//! Nothing here is lenient: no links, no folders, no other owners, no extensions. A header is not parsed but written
//! anew from the name and size that are expected, and compared.

use std::io::{self, Read};

/// The archive's block, in bytes.
pub const BLOCK_BYTES: usize = 512;

/// The largest file, in bytes: eleven octal digits.
pub const FILE_LIMIT_BYTES: u64 = 0o77_777_777_777;

/// How an archive ends: two blocks of zeros, and nothing behind them.
pub const END_BYTES: usize = 2 * BLOCK_BYTES;

const SIZE_AT: std::ops::Range<usize> = 124..136;
const CHECKSUM_AT: std::ops::Range<usize> = 148..156;

/// The header of a file. `name` is at most 100 bytes of ASCII, `size` at most [`FILE_LIMIT_BYTES`]; a longer name is
/// cut and a larger size does not fit, so that the header is refused by whoever reads it.
#[must_use]
pub fn header(name: &str, size: u64) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let mut put = |at: usize, text: &[u8]| {
        for (place, byte) in block.iter_mut().skip(at).zip(text) {
            *place = *byte;
        }
    };
    put(0, name.as_bytes().get(..100).unwrap_or(name.as_bytes()));
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(SIZE_AT.start, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(CHECKSUM_AT.start, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    for (place, byte) in block.iter_mut().skip(CHECKSUM_AT.start).zip(sum.as_bytes()) {
        *place = *byte;
    }
    block
}

/// How many zeros follow on a file of this size, to the end of its block.
#[must_use]
pub fn padding(size: u64) -> usize {
    let over = (size % BLOCK_BYTES as u64) as usize;
    if over == 0 { 0 } else { BLOCK_BYTES - over }
}

/// Reads the header of a file whose size is not known yet.
///
/// # Errors
/// Another header than the one of this name and the size that it states; what reading fails with.
pub(super) fn read_header(input: &mut impl Read, name: &str) -> Result<u64, String> {
    let block = read_block(input, name)?;
    let digits = block.get(SIZE_AT).and_then(|field| field.split_last()).map(|(_, digits)| digits);
    let size = digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
        .and_then(|digits| u64::from_str_radix(digits, 8).ok())
        .ok_or_else(|| no_header(name))?;
    if block == header(name, size) { Ok(size) } else { Err(no_header(name)) }
}

/// Reads the header of a file whose name and size are known.
///
/// # Errors
/// As [`read_header`].
pub(super) fn expect_header(input: &mut impl Read, name: &str, size: u64) -> Result<(), String> {
    if read_block(input, name)? == header(name, size) { Ok(()) } else { Err(no_header(name)) }
}

/// Reads the zeros behind a file.
///
/// # Errors
/// Anything else; what reading fails with.
pub(super) fn expect_padding(input: &mut impl Read, name: &str, size: u64) -> Result<(), String> {
    let mut zeros = [0; BLOCK_BYTES];
    let zeros = zeros.get_mut(..padding(size)).unwrap_or_default();
    input.read_exact(zeros).map_err(|error| cut(name, &error))?;
    if zeros.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(format!("what stands behind `{name}` is not zeros"))
    }
}

/// Reads the end of the archive.
///
/// # Errors
/// Another file, anything but zeros, or anything behind them; what reading fails with.
pub(super) fn expect_end(input: &mut impl Read) -> Result<(), String> {
    let mut end = [0; END_BYTES];
    input.read_exact(&mut end).map_err(|error| cut("its end", &error))?;
    let mut more = [0];
    let behind = input.read(&mut more).map_err(|error| cut("its end", &error))?;
    if behind == 0 && end.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err("something stands behind the files that the manifest lists".to_owned())
    }
}

fn read_block(input: &mut impl Read, name: &str) -> Result<[u8; BLOCK_BYTES], String> {
    let mut block = [0; BLOCK_BYTES];
    input.read_exact(&mut block).map_err(|error| cut(name, &error))?;
    Ok(block)
}

fn no_header(name: &str) -> String {
    format!("where `{name}` is expected stands another file, or not its only header")
}

/// Why a read came to nothing.
pub(super) fn cut(what: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        format!("it is cut short within `{what}`")
    } else {
        format!("`{what}` cannot be read: {error}")
    }
}

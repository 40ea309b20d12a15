//! Files of JSON lines in a folder, each named after the first event in it, closed at a size. What is counted as
//! delivered is on the disk.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use domain::time::Timestamp;
use serde::Deserialize;

use super::config::words;
use super::{Appetite, Delivered, Failure, Parcel, Sink};
use crate::limits::{BATCH_BYTES, BATCH_EVENTS, FILE_BYTES, READ_BYTES};

/// A folder for files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The folder; it is made where it is not there, readable by this user alone.
    pub folder: PathBuf,
    /// The size at which the next file begins, in bytes.
    #[serde(default = "file_bytes")]
    pub rotate_bytes: u64,
}

fn file_bytes() -> u64 {
    FILE_BYTES
}

/// Writes files.
#[derive(Debug)]
pub struct FileSink {
    folder: PathBuf,
    rotate: u64,
    open: Option<(File, u64)>,
}

impl FileSink {
    /// Files in the configured folder.
    ///
    /// # Errors
    /// In words: the folder cannot be made, or files of no size are asked for.
    pub fn new(config: &FileConfig) -> Result<Self, String> {
        if config.rotate_bytes == 0 {
            return Err("`rotate_bytes` is at least 1".to_owned());
        }
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&config.folder)
            .map_err(|error| format!("cannot make `{}`: {error}", config.folder.display()))?;
        Ok(Self { folder: config.folder.clone(), rotate: config.rotate_bytes, open: None })
    }

    fn write(&mut self, batch: &[Parcel]) -> std::io::Result<()> {
        for parcel in batch {
            let (file, size) = self.file(parcel)?;
            let line = format!("{}\n", parcel.text);
            file.write_all(line.as_bytes())?;
            *size += line.len() as u64;
        }
        if let Some((file, _)) = &self.open {
            file.sync_all()?;
        }
        Ok(())
    }

    /// The file that takes this event: the one that is open, the last one of an earlier run, or a new one.
    fn file(&mut self, parcel: &Parcel) -> std::io::Result<&mut (File, u64)> {
        if self.open.as_ref().is_some_and(|(_, size)| *size >= self.rotate)
            && let Some((full, _)) = self.open.take()
        {
            full.sync_all()?;
        } else if self.open.is_none()
            && let Some(last) = last_of(&self.folder)?
        {
            let (file, size) = mended(&last)?;
            self.open = (size < self.rotate).then_some((file, size));
        }
        if self.open.is_none() {
            let log = parcel.told.event.log;
            let (index, line) = log.map_or((0, 0), |log| (log.index, log.line.unwrap_or(0)));
            let path = self.folder.join(format!("trail-{index:016}-{line:08}.jsonl"));
            let (file, size) = mended(&path)?;
            // The name is on the disk before what stands under it counts.
            File::open(&self.folder)?.sync_all()?;
            self.open = Some((file, size));
        }
        self.open.as_mut().ok_or_else(|| std::io::Error::other("no file is open"))
    }
}

/// Opens a file to go on behind its last whole line: a power cut can have torn the one after it.
fn mended(path: &Path) -> std::io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let mut end = file.metadata()?.len();
    let mut buffer = vec![0; READ_BYTES];
    while end > 0 {
        let from = end.saturating_sub(READ_BYTES as u64);
        let length = usize::try_from(end - from).unwrap_or(READ_BYTES);
        let part = buffer.get_mut(..length).unwrap_or_default();
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(part)?;
        if let Some(last) = part.iter().rposition(|byte| *byte == b'\n') {
            end = from + last as u64 + 1;
            break;
        }
        end = from;
    }
    if end < file.metadata()?.len() {
        file.set_len(end)?;
        file.sync_all()?;
    }
    Ok((file, end))
}

fn last_of(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut last = None;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("trail-")
            && name.ends_with(".jsonl")
            && last.as_ref().is_none_or(|last| *last < path)
        {
            last = Some(path);
        }
    }
    Ok(last)
}

#[async_trait]
impl Sink for FileSink {
    fn appetite(&self) -> Appetite {
        Appetite { events: BATCH_EVENTS * 4, bytes: BATCH_BYTES * 4, linger: Duration::ZERO }
    }

    async fn deliver(&mut self, batch: &[Parcel], _now: Timestamp) -> Delivered {
        let (folder, rotate, open) = (self.folder.clone(), self.rotate, self.open.take());
        let batch = batch.to_vec();
        let count = batch.len();
        let written = tokio::task::spawn_blocking(move || {
            let mut sink = Self { folder, rotate, open };
            sink.write(&batch).map(|()| sink.open)
        })
        .await;
        match written {
            Ok(Ok(open)) => {
                self.open = open;
                Delivered { count, failure: None }
            }
            // The file is opened again at the next try, behind its last whole line.
            Ok(Err(error)) => {
                Delivered::partly(0, Failure::new(format!("the file cannot be written: {}", words(error))))
            }
            Err(error) => Delivered::partly(0, Failure::new(error)),
        }
    }
}

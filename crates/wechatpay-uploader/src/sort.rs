//! Sorts more records than memory holds: sorted runs in temporary files, merged in one pass.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::PathBuf;

/// Bytes of memory that records may take before they go to the disk.
const MEMORY: usize = 8 << 20;
/// Bytes that are written of a run at once, and most that are read of one.
const BUFFER: usize = 16 << 10;
/// Bytes that are read of all runs at once, as long as each gets a page.
const AHEAD: usize = 256 << 10;
const PAGE: usize = 4 << 10;

/// Collects records, which are a key and a number.
pub(crate) struct Sorter {
    folder: PathBuf,
    memory: usize,
    /// The keys of the records that are not on the disk yet, one after the other.
    keys: Vec<u8>,
    records: Vec<Record>,
    runs: Vec<File>,
    /// Bytes on the disk.
    spilled: u64,
}

/// A record whose key is in [`Sorter::keys`].
#[derive(Clone, Copy)]
struct Record {
    /// First eight bytes of the key, which mostly decide.
    head: u64,
    start: u32,
    length: u16,
    number: u64,
}

impl Sorter {
    /// A sorter whose temporary files lie in this folder; nobody else sees them, and they go when the process ends.
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self::with_memory(folder, MEMORY)
    }

    fn with_memory(folder: impl Into<PathBuf>, memory: usize) -> Self {
        let folder = folder.into();
        Self { folder, memory, keys: Vec::new(), records: Vec::new(), runs: Vec::new(), spilled: 0 }
    }

    /// Bytes of temporary files that were written so far.
    pub(crate) fn spilled(&self) -> u64 {
        self.spilled
    }

    pub(crate) fn push(&mut self, key: &[u8], number: u64) -> io::Result<()> {
        let taken = self.keys.len() + self.records.len() * size_of::<Record>();
        if taken + key.len() + size_of::<Record>() > self.memory {
            self.spill()?;
        }
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the key is too long to be sorted");
        let start = u32::try_from(self.keys.len()).map_err(|_| too_long())?;
        let length = u16::try_from(key.len()).map_err(|_| too_long())?;
        self.records.push(Record { head: head(key), start, length, number });
        self.keys.extend_from_slice(key);
        Ok(())
    }

    /// The records in the order of their keys, and for the same key of their numbers.
    pub(crate) fn finish(mut self) -> io::Result<Sorted> {
        self.sort();
        let buffer = (AHEAD / self.runs.len().max(1)).clamp(PAGE, BUFFER);
        let mut sources = Vec::with_capacity(self.runs.len() + 1);
        for mut run in std::mem::take(&mut self.runs) {
            run.rewind()?;
            sources.push(Run::Disk(BufReader::with_capacity(buffer, run)));
        }
        sources.push(Run::Memory { keys: self.keys, records: self.records.into_iter() });
        let mut heap = BinaryHeap::with_capacity(sources.len());
        for (index, source) in sources.iter_mut().enumerate() {
            heap.extend(source.next()?.map(|(key, number)| Reverse((key, number, index))));
        }
        Ok(Sorted { sources, heap })
    }

    fn sort(&mut self) {
        let keys = &self.keys;
        self.records.sort_unstable_by(|a, b| {
            a.head.cmp(&b.head).then_with(|| a.key(keys).cmp(b.key(keys))).then_with(|| a.number.cmp(&b.number))
        });
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut run = BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(&self.folder)?);
        for record in &self.records {
            run.write_all(&record.length.to_le_bytes())?;
            run.write_all(record.key(&self.keys))?;
            run.write_all(&record.number.to_le_bytes())?;
            self.spilled += 10 + u64::from(record.length);
        }
        self.runs.push(run.into_inner().map_err(io::IntoInnerError::into_error)?);
        self.keys.clear();
        self.records.clear();
        Ok(())
    }
}

impl Record {
    fn key(self, keys: &[u8]) -> &[u8] {
        let start = self.start as usize;
        keys.get(start..start + usize::from(self.length)).unwrap_or_default()
    }
}

/// The first eight bytes as a number of the same order; shorter keys are filled up with zeros.
fn head(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(bytes)
}

/// Records in their order.
pub(crate) struct Sorted {
    sources: Vec<Run>,
    heap: BinaryHeap<Reverse<(Vec<u8>, u64, usize)>>,
}

enum Run {
    Disk(BufReader<File>),
    Memory { keys: Vec<u8>, records: std::vec::IntoIter<Record> },
}

impl Run {
    fn next(&mut self) -> io::Result<Option<(Vec<u8>, u64)>> {
        match self {
            Self::Memory { keys, records } => {
                Ok(records.next().map(|record| (record.key(keys).to_vec(), record.number)))
            }
            Self::Disk(run) => {
                let mut length = [0; 2];
                match run.read_exact(&mut length) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                    Err(error) => return Err(error),
                }
                let mut key = vec![0; usize::from(u16::from_le_bytes(length))];
                let mut number = [0; 8];
                run.read_exact(&mut key)?;
                run.read_exact(&mut number)?;
                Ok(Some((key, u64::from_le_bytes(number))))
            }
        }
    }
}

impl Sorted {
    /// The next record.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Vec<u8>, u64)>> {
        let Some(Reverse((key, number, index))) = self.heap.pop() else { return Ok(None) };
        if let Some(source) = self.sources.get_mut(index) {
            self.heap.extend(source.next()?.map(|(key, number)| Reverse((key, number, index))));
        }
        Ok(Some((key, number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(memory: usize, records: &[(Vec<u8>, u64)]) -> (Vec<(Vec<u8>, u64)>, u64) {
        let mut sorter = Sorter::with_memory(std::env::temp_dir(), memory);
        for (key, number) in records {
            sorter.push(key, *number).unwrap();
        }
        let spilled = sorter.spilled();
        let mut sorted = sorter.finish().unwrap();
        (std::iter::from_fn(|| sorted.next().unwrap()).collect(), spilled)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_all_is_in_order(
            records in prop::collection::vec((prop::collection::vec(0u8..4, 0..12), 0u64..50), 0..300)
        ) {
            let mut wanted = records.clone();
            wanted.sort();
            for memory in [200, MEMORY] {
                let (found, spilled) = sorted(memory, &records);
                prop_assert_eq!(&found, &wanted);
                prop_assert!(memory == MEMORY || spilled > 0 || records.len() <= 10);
            }
        }
    }
}

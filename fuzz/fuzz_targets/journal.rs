//! A journal that was damaged: each group of six bytes of the input is a place and what stands there now; a place behind
//! the end cuts the file there. It is either refused, or it still says what it was to say.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, json};
use std::io;
use std::panic;
use std::sync::{Arc, LazyLock, Mutex};
use wechatpay_uploader::{Endpoint, Format, Header, Input, Job, Journal, Source, StorageBackend, Totals};

/// A disk in memory.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Vec<u8>>>);

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let range = usize::try_from(offset).ok().and_then(|start| Some(start..start.checked_add(length)?));
        let bytes = self.0.lock().unwrap();
        range.and_then(|range| bytes.get(range)).map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if length > 64 << 20 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.lock().unwrap().resize(length as usize, 0);
        Ok(())
    }

    fn sync_data(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut image = self.0.lock().unwrap();
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let place = image.get_mut(start..start + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        place.copy_from_slice(bytes);
        Ok(())
    }
}

/// A journal of three batches, and what it says.
static WHOLE: LazyLock<(Vec<u8>, Header, Totals)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("codes");
    let codes: Vec<_> = (0..500).map(|number| format!("C{number}\n")).collect();
    std::fs::write(&path, codes.concat() + "C1\n").expect("written");
    let job = Job {
        endpoint: Endpoint::BUSIFAVOR,
        target: Map::from_iter([("stock_id".to_owned(), json!("98065001"))]),
        base_url: "https://api.mch.weixin.qq.com".to_owned(),
        mchid: "1900000109".to_owned(),
    };
    let input = Input { sources: vec![Source::new(path)], format: Format::Text };
    let disk = Disk::default();
    let journal = job.create_on(disk.clone(), "journal", &input).expect("a journal");
    let (header, totals) = (journal.header().clone(), journal.totals());
    drop(journal);
    let image = disk.0.lock().unwrap().clone();
    Journal::open_storage(Disk(Arc::new(Mutex::new(image.clone()))), "journal").expect("undamaged it opens");
    (image, header, totals)
});

fuzz_target!(
    init: {
        // A panic inside of redb is caught by the code under test; the hook of the fuzzer would end the process before.
        panic::set_hook(Box::new(|_| {}));
        LazyLock::force(&WHOLE);
    },
    |input: &[u8]| {
        let (image, header, totals) = &*WHOLE;
        let mut image = image.clone();
        for patch in input.chunks_exact(6) {
            let place = u32::from_le_bytes([patch[0], patch[1], patch[2], 0]) as usize;
            match image.get_mut(place..place + 2) {
                Some(bytes) => bytes.copy_from_slice(&patch[4..]),
                None => image.truncate(place % image.len().max(1)),
            }
        }
        let opened = panic::catch_unwind(|| Journal::open_storage(Disk(Arc::new(Mutex::new(image))), "journal"));
        match opened {
            Ok(Ok(journal)) => {
                if (journal.header(), &journal.totals()) != (header, totals) {
                    eprintln!("{:?} and {:?} were read", journal.header(), journal.totals());
                    std::process::abort();
                }
            }
            Ok(Err(error)) => assert!(!error.to_string().is_empty()),
            Err(_) => {
                eprintln!("opening a damaged journal panicked");
                std::process::abort();
            }
        }
    }
);

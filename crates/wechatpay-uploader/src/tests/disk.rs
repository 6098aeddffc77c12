//! A disk in memory that forgets what was not synced, and fails where it is told to.

use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex};

/// What happens at the operation that is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// From here on there is no room.
    Full,
    /// The power goes. What was not synced is lost.
    Crash,
    /// The power goes. Of what was not synced some is there, and the last write in part.
    Torn,
    /// This sync says that it has done its work and has not; the power goes when the upload has ended.
    LostSync,
}

#[derive(Debug, Default)]
struct Inner {
    /// As the program sees it.
    seen: Vec<u8>,
    /// As it is after a crash.
    durable: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Pending>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    hit: bool,
    dead: bool,
}

#[derive(Debug, Clone)]
enum Pending {
    Length(u64),
    Write(u64, Vec<u8>),
}

fn apply(image: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Length(length) => image.resize(usize::try_from(*length).unwrap(), 0),
        Pending::Write(at, bytes) => {
            let at = usize::try_from(*at).unwrap();
            if image.len() < at + bytes.len() {
                image.resize(at + bytes.len(), 0);
            }
            image[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    /// An empty disk that fails at this operation, counted from 1.
    pub(super) fn failing(at: u64, fault: Fault) -> Self {
        Self(Arc::new(Mutex::new(Inner { fault: Some((at, fault)), ..Inner::default() })))
    }

    /// Whether the fault has come.
    pub(super) fn hit(&self) -> bool {
        self.0.lock().unwrap().hit
    }

    /// Operations that change the disk so far.
    pub(super) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// The disk as it is when the power comes back.
    pub(super) fn after_crash(&self) -> Self {
        let image = self.0.lock().unwrap().durable.clone();
        Self(Arc::new(Mutex::new(Inner { seen: image.clone(), durable: image, ..Inner::default() })))
    }

    fn step(&self, sync: bool) -> io::Result<bool> {
        let mut inner = self.0.lock().unwrap();
        if inner.dead {
            return Err(io::Error::other("the power is off"));
        }
        inner.operations += 1;
        let Some((at, fault)) = inner.fault else { return Ok(false) };
        match fault {
            Fault::Full if inner.operations >= at && !sync => {
                inner.hit = true;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            Fault::Crash if inner.operations >= at => {
                (inner.hit, inner.dead) = (true, true);
                Err(io::Error::other("the power is off"))
            }
            Fault::Torn if inner.operations >= at => {
                (inner.hit, inner.dead) = (true, true);
                let pending = std::mem::take(&mut inner.pending);
                let count = pending.len();
                for (index, done) in pending.into_iter().enumerate() {
                    match done {
                        // The last one in part, and of the others some: disks write in an order of their own.
                        Pending::Write(place, bytes) if index + 1 == count => {
                            let half = bytes[..bytes.len() / 2].to_vec();
                            apply(&mut inner.durable, &Pending::Write(place, half));
                        }
                        Pending::Write(..) if (index as u64 + at) % 3 == 0 => {}
                        done => apply(&mut inner.durable, &done),
                    }
                }
                Err(io::Error::other("the power is off"))
            }
            Fault::LostSync if sync && inner.operations >= at && !inner.hit => {
                inner.hit = true;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let offset = usize::try_from(offset).unwrap();
        let inner = self.0.lock().unwrap();
        let bytes = inner.seen.get(offset..offset + length);
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.step(false)?;
        let mut inner = self.0.lock().unwrap();
        let done = Pending::Length(length);
        apply(&mut inner.seen, &done);
        inner.pending.push(done);
        Ok(())
    }

    fn sync_data(&self, _: bool) -> io::Result<()> {
        if self.step(true)? {
            // What it should have made durable is lost for good, though later syncs do their work.
            self.0.lock().unwrap().pending.clear();
            return Ok(());
        }
        let mut inner = self.0.lock().unwrap();
        for done in std::mem::take(&mut inner.pending) {
            apply(&mut inner.durable, &done);
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.step(false)?;
        let mut inner = self.0.lock().unwrap();
        let done = Pending::Write(offset, bytes.to_vec());
        apply(&mut inner.seen, &done);
        inner.pending.push(done);
        Ok(())
    }
}

//! What a store was asked to do, recorded.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use pagebox::trace::{PAGES_MAX, Step, Trace};
use pagebox::{
    Access, Algorithm, Change, Checksum, Error, Format, Geometry, MemoryStore, NewFile, PageBuffer,
    PageSize, PageStore, Pager, RecordingStore, Store, StoreError,
};
use pagebox_tests::failing::{Fault, Verb};

use crate::failing::Device;
use crate::{engine, folder};

const SIZE: PageSize = PageSize::KIB_1;

/// Where a trace is written, to be looked at; full after so many bytes.
#[derive(Clone)]
struct Tape {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Tape {
    fn new(room: usize) -> Self {
        Self {
            bytes: Arc::default(),
            room,
        }
    }

    fn trace(&self) -> Trace {
        Trace::decode(&self.bytes.lock().unwrap()).unwrap()
    }
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.bytes.lock().unwrap();
        if held.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        held.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file with something in it.
fn bytes(format: Format) -> Vec<u8> {
    let new = NewFile {
        format,
        ..NewFile::default()
    };
    let mut pager = engine().create_store(MemoryStore::new(SIZE), new).unwrap();
    let regular = pager.alloc().unwrap();
    pager.write(regular, 0, &[1; 1024]).unwrap();
    let protected = pager.alloc_protected().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap().fill(2);
    tx.commit().unwrap();
    held(pager)
}

fn held(pager: Pager) -> Vec<u8> {
    let store = pager.close();
    let mut bytes = vec![0; SIZE.bytes()];
    let mut all = Vec::new();
    for page in 0..store.geometry().page_count {
        store.read(page, 0, &mut bytes).unwrap();
        all.extend(&bytes);
    }
    all
}

/// All that a pager may ask for: growth and cuts as well.
fn work(pager: &mut Pager) {
    let protected = pager.protected_pages().next().unwrap().unwrap().id;
    let regular = pager.regular_pages().next().unwrap().unwrap();
    pager.write(regular, 5, b"hello").unwrap();
    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap().fill(3);
    let more = tx.alloc_many(300).unwrap();
    tx.commit().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.free_many(&more).unwrap();
    tx.commit().unwrap();
    pager.sync().unwrap();
    if pager.stats().unwrap().format.starts_with('1') {
        pager.compact(0).unwrap();
    }
}

#[test]
fn trace_that_is_replayed_to_its_end_is_the_store() {
    for format in [Format::Zero, Format::One] {
        let before = bytes(format);
        let tape = Tape::new(usize::MAX);
        let store = Box::new(MemoryStore::from_bytes(SIZE, before.clone()));
        let (store, recording) = RecordingStore::new(store, tape.clone()).unwrap();
        let mut pager = engine().open_store(store, Access::Write).unwrap();
        work(&mut pager);
        let steps = recording.end().unwrap();
        // What comes later is not recorded.
        pager.alloc_protected().unwrap();
        assert!(matches!(recording.end(), Err(StoreError::Other(_))));
        let trace = tape.trace();
        assert_eq!(trace.steps().len() as u64, steps);
        assert_eq!(trace.base().concat(), before);
        assert!(
            trace
                .steps()
                .iter()
                .any(|step| matches!(step, Step::Grow { .. }))
        );

        // What a pager finds that opens it as it was left then.
        let disk = trace.disk_at(trace.steps().len(), None);
        let left = MemoryStore::from_bytes(SIZE, disk.pages().concat());
        let left = engine().open_store(left, Access::Read).unwrap();
        let mut page = [0; 6];
        let regular = left.regular_pages().next().unwrap().unwrap();
        left.read(regular, 4, &mut page).unwrap();
        assert_eq!(&page, b"\x01hello");
        let protected = left.protected_pages().next().unwrap().unwrap().id;
        left.read_protected(protected, 0, &mut page).unwrap();
        assert_eq!(page, [3; 6]);
        assert_eq!(left.protected_pages().count(), 1);
    }
}

/// The bytes of the trace and those of the store agree to the last one.
#[test]
fn recorded_store_does_what_it_did() {
    for format in [Format::Zero, Format::One] {
        let before = bytes(format);
        let tape = Tape::new(usize::MAX);
        let store = Box::new(MemoryStore::from_bytes(SIZE, before.clone()));
        let (store, recording) = RecordingStore::new(store, tape.clone()).unwrap();
        let mut recorded = engine().open_store(store, Access::Write).unwrap();
        work(&mut recorded);
        recording.end().unwrap();
        let left = held(recorded);
        let trace = tape.trace();
        let disk = trace.disk_at(trace.steps().len(), None);
        assert!(disk.pages().concat() == left, "{format:?}");
        let plain = MemoryStore::from_bytes(SIZE, before);
        let mut plain = engine().open_store(plain, Access::Write).unwrap();
        work(&mut plain);
        assert!(held(plain) == left, "{format:?}");
    }
}

#[test]
fn pages_of_a_recorded_store_are_not_lent_to_be_changed() {
    let tape = Tape::new(usize::MAX);
    let store = Box::new(MemoryStore::from_bytes(SIZE, bytes(Format::One)));
    let (store, _recording) = RecordingStore::new(store, tape).unwrap();
    let mut pager = engine().open_store(store, Access::Write).unwrap();
    let id = pager.regular_pages().next().unwrap().unwrap();
    assert!(matches!(pager.page_mut(id), Err(Error::NotLendable)));
    assert_eq!(pager.page(id).unwrap()[0], 1);
}

/// A trace that cannot be written is told of, and nobody's commit fails for it.
#[test]
fn full_disk_under_a_trace_ends_the_recording_alone() {
    let before = bytes(Format::One);
    let start = Tape::new(usize::MAX);
    let store = MemoryStore::from_bytes(SIZE, before);
    RecordingStore::new(Box::new(store.clone()), start.clone()).unwrap();
    let room = start.bytes.lock().unwrap().len() + 4096;
    let tape = Tape::new(room);
    let store = Box::new(store);
    let (store, recording) = RecordingStore::new(store, tape.clone()).unwrap();
    let mut pager = engine().open_store(store, Access::Write).unwrap();
    work(&mut pager);
    let error = recording.end().unwrap_err();
    assert!(
        error.to_string().contains("the trace cannot be written"),
        "{error}"
    );
    // What is there is a trace.
    tape.trace();

    let store = Box::new(MemoryStore::from_bytes(SIZE, bytes(Format::One)));
    let error = RecordingStore::new(store, Tape::new(10)).unwrap_err();
    assert!(matches!(error, StoreError::Io(_)), "{error}");
}

#[test]
fn store_that_fails_ends_the_recording() {
    let (device, switch, _) = Device::new(bytes(Format::One));
    let tape = Tape::new(usize::MAX);
    let (store, recording) = RecordingStore::new(Box::new(device), tape.clone()).unwrap();
    let mut pager = engine().open_store(store, Access::Write).unwrap();
    switch.set(Fault {
        verb: Verb::Sync,
        after: 0,
        for_good: false,
        no_space: false,
    });
    pager.alloc_protected().unwrap_err();
    let error = recording.end().unwrap_err();
    assert!(matches!(error, StoreError::Io(_)), "{error}");
    tape.trace();
}

/// A store that is not what it was once it failed, as those on object storage are.
#[derive(Debug)]
struct Lost(MemoryStore);

impl PageStore for Lost {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.0.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.0.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.0.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        self.0.write(changes)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.0.grow(page_count)
    }
}

impl Store for Lost {
    fn reopen(&mut self) -> Result<(), StoreError> {
        Err(StoreError::Fenced)
    }
}

#[test]
fn recorded_store_is_reopened_as_it_would_be() {
    let store = Lost(MemoryStore::from_bytes(SIZE, bytes(Format::One)));
    let tape = Tape::new(usize::MAX);
    let (store, _recording) = RecordingStore::new(Box::new(store), tape).unwrap();
    let mut pager = engine().open_store(store, Access::Write).unwrap();
    assert!(matches!(
        pager.reopen(),
        Err(Error::Store {
            cause: StoreError::Fenced,
            ..
        })
    ));
}

#[test]
fn store_that_is_too_large_is_not_recorded() {
    let (_folder, path) = folder();
    let file = File::create(&path).unwrap();
    file.set_len((PAGES_MAX + 1) * 1024).unwrap();
    let store = pagebox::ReadOnlyStore::open(&path, SIZE).unwrap();
    let error = RecordingStore::new(Box::new(store), Tape::new(usize::MAX)).unwrap_err();
    assert!(
        error.to_string().contains("larger than a trace may be"),
        "{error}"
    );
}

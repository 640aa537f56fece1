//! Devices that fail under the pager in the sandbox: the nth call of each verb,
//! once or from then on, for all n until a workload passes clean. The error
//! names what failed, the pager is poisoned where it is not known what is
//! durable, and what is opened again is the state before or after.

use std::any::Any;
use std::sync::{Arc, Mutex};

use pagebox::{
    Access, Algorithm, Checksum, Error, Format, Geometry, MemoryStore, NewFile, PageBuffer, PageId,
    PageSize, PageStore, Pager, ProtectedId, Store, StoreError,
};
use pagebox_tests::failing::{FailingStore, Fault, Switch, Verb};
use pagebox_tests::figures;
use pagebox_tests::workload::{Change, Step, Workload};

use crate::engine;
use crate::mirror::Mirror;

const SIZE: PageSize = PageSize::KIB_1;

/// A device that fails as its switch says, and lends no pages: all bytes come
/// and go by calls that can fail.
#[derive(Debug)]
pub(crate) struct Device {
    store: FailingStore<MemoryStore>,
    /// What a power loss would leave that takes all that was not synced.
    durable: Arc<Mutex<Vec<u8>>>,
}

impl Device {
    pub(crate) fn new(bytes: Vec<u8>) -> (Self, Switch, Arc<Mutex<Vec<u8>>>) {
        let durable = Arc::new(Mutex::new(bytes.clone()));
        let (store, switch) = FailingStore::new(MemoryStore::from_bytes(SIZE, bytes));
        let device = Self {
            store,
            durable: Arc::clone(&durable),
        };
        (device, switch, durable)
    }

    /// All that was written so far is durable.
    fn settle(&self) {
        *self.durable.lock().unwrap() = self.store.inner().bytes().to_vec();
    }
}

impl PageStore for Device {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.store.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.store.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.store.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.store.stage_behind(source)
    }

    fn write(&mut self, changes: &[pagebox::Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        let is_barrier = |change: &pagebox::Change<'_, _>| {
            matches!(change, pagebox::Change::Order | pagebox::Change::Sync)
        };
        for part in changes.split_inclusive(is_barrier) {
            self.store.write_behind(part)?;
            if part.last().is_some_and(is_barrier) {
                self.settle();
            }
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let grown = self.store.grow(page_count)?;
        // Growth is durable by itself.
        let len = self.store.inner().bytes().len();
        self.durable.lock().unwrap().resize(len, 0);
        Ok(grown)
    }
}

impl Store for Device {}

fn new_file(format: Format) -> NewFile {
    NewFile {
        format,
        ..NewFile::default()
    }
}

/// The bytes of a pager's device.
fn bytes(pager: Pager) -> Vec<u8> {
    let store: Box<dyn Any> = pager.close();
    let device = store.downcast::<Device>().unwrap();
    device.store.into_inner().bytes().to_vec()
}

/// Whether an error is the one that the device was told to give, and names what
/// was being done.
fn is_told(error: &Error, verb: Verb) -> bool {
    let Error::Store { operation, cause } = error else {
        return false;
    };
    let expected: &[&str] = match verb {
        Verb::Read | Verb::Checksum => &["reading page ", "staging protected page "],
        Verb::Stage => &["reading page ", "writing page ", "staging protected page "],
        // A host sums up the buffers itself.
        Verb::StagedChecksum => &[],
        Verb::Grow => &["growing the file to "],
        Verb::Truncate => &["cutting the file to "],
        Verb::Write => &[
            "writing a commit",
            "writing the root that counts",
            "writing page ",
        ],
        Verb::Sync => &[
            "writing a commit",
            "writing the root that counts",
            "syncing",
        ],
    };
    let is_told = match cause {
        StoreError::Io(error) => error.to_string().ends_with("was told to fail"),
        cause => verb == Verb::Grow && *cause == StoreError::InsufficientSpace,
    };
    is_told && expected.iter().any(|text| operation.starts_with(text))
}

/// Whether a pager refuses everything, as it must once it is not known what is
/// durable.
fn is_poisoned(pager: &mut Pager) -> bool {
    let mut byte = [0];
    let refused = [
        pager.begin().map(drop),
        pager.sync(),
        pager.alloc().map(drop),
        pager.read(PageId::new(3), 0, &mut byte),
        pager.read_protected(ProtectedId::new(0), 0, &mut byte),
        pager.regular_pages().next().unwrap().map(drop),
        pager.protected_pages().next().unwrap().map(drop),
    ];
    refused.iter().all(|it| matches!(it, Err(Error::Poisoned)))
}

/// Opens what a crash left, goes on with it, and returns which of the states it
/// is.
fn find(image: Vec<u8>, states: [&Mirror; 2], context: &str) -> usize {
    let store = MemoryStore::from_bytes(SIZE, image);
    let mut pager = engine()
        .open_store(store, Access::Write)
        .unwrap_or_else(|error| panic!("{error}; {context}"));
    let shown = states.map(|state| state.check(&pager));
    let Some(index) = shown.iter().position(Result::is_ok) else {
        panic!("neither before nor after: {shown:?}; {context}")
    };
    let mut mirror = states[index].clone();
    let next = vec![Change::Alloc(2), Change::AllocProtected(1)];
    mirror.run(&mut pager, &Step::Commit(next)).expect(context);
    mirror.check(&pager).expect(context);
    index
}

/// What is written to regular pages in place and never synced may be lost, so
/// the images of a power loss are compared without: steps that write in place
/// are done together with a sync.
fn is_in_place(step: &Step) -> bool {
    matches!(step, Step::Write(..))
}

struct Tried {
    failures: u64,
    images: u64,
}

/// Lets the first, the second and so on of a verb's calls fail until the step
/// passes.
fn fail_everywhere(
    file: &[u8],
    before: &Mirror,
    step: &Step,
    is_first: bool,
    fault: Fault,
    tried: &mut Tried,
) {
    for after in 0.. {
        let context = format!("{fault:?} after {after} calls, first {is_first}: {step:?}");
        let (device, switch, durable) = Device::new(file.to_vec());
        let mut pager = engine().open_store(device, Access::Write).unwrap();
        let mut mirror = before.clone();
        if !is_first {
            let first = Step::Commit(vec![Change::Alloc(1)]);
            mirror.run(&mut pager, &first).unwrap();
        }
        let old = mirror.clone();
        let stats = pager.stats().unwrap();
        switch.set(Fault { after, ..fault });
        let done = mirror.run(&mut pager, step);
        let failed = switch.clear();
        assert_eq!(done.is_err(), failed > 0, "{done:?}; {context}");
        let Err(error) = done else {
            mirror.check(&pager).expect(&context);
            return;
        };
        tried.failures += 1;
        assert!(is_told(&error, fault.verb), "{error}; {context}");
        assert!(error.is_system(), "{error}; {context}");
        assert_eq!(pager.stats().unwrap(), stats, "{context}");

        // Where nothing was written, nothing is in doubt.
        let is_ready = fault.no_space
            || is_in_place(step)
            || !matches!(fault.verb, Verb::Write | Verb::Sync | Verb::Grow);
        if is_ready {
            if !is_in_place(step) {
                old.check(&pager).expect(&context);
            }
            mirror.run(&mut pager, step).expect(&context);
            mirror.check(&pager).expect(&context);
            continue;
        }
        assert!(is_poisoned(&mut pager), "{error}, but no poison; {context}");
        // What the step leads to where nothing fails.
        let mut new = old.clone();
        {
            let (device, ..) = Device::new(file.to_vec());
            let mut sound = engine().open_store(device, Access::Write).unwrap();
            let mut mirror = before.clone();
            if !is_first {
                let first = Step::Commit(vec![Change::Alloc(1)]);
                mirror.run(&mut sound, &first).unwrap();
            }
            mirror.run(&mut sound, step).unwrap();
            new.clone_from(&mirror);
        }
        let power_lost = durable.lock().unwrap().clone();
        find(power_lost, [&old, &new], &context);
        // The same process, on the same device, goes on.
        pager.reopen().expect(&context);
        let shown = [&old, &new].map(|state| state.check(&pager));
        assert!(shown.iter().any(Result::is_ok), "{shown:?}; {context}");
        // And another process, that sees what was written.
        find(bytes(pager), [&old, &new], &context);
        tried.images += 3;
    }
}

#[test]
fn any_failing_call_under_the_sandbox_is_named_and_leaves_a_legal_state() {
    let mut tried = Tried {
        failures: 0,
        images: 0,
    };
    for seed in 0..3 {
        let mut workload = Workload::new(seed);
        let (device, ..) = Device::new(Vec::new());
        // In format 1 a commit is done although the copy of its root failed.
        let mut pager = engine()
            .create_store(device, new_file(Format::Zero))
            .unwrap();
        let mut mirror = Mirror::new(SIZE);
        for _ in 0..30 {
            pager.sync().unwrap();
            let file = bytes(pager);
            let step = workload.step();
            for is_first in [true, false] {
                for verb in Verb::ALL {
                    for (for_good, no_space) in [(false, false), (true, false), (false, true)] {
                        if no_space && verb != Verb::Grow {
                            continue;
                        }
                        let fault = Fault {
                            verb,
                            after: 0,
                            for_good,
                            no_space,
                        };
                        fail_everywhere(&file, &mirror, &step, is_first, fault, &mut tried);
                    }
                }
            }
            let (device, ..) = Device::new(file);
            pager = engine().open_store(device, Access::Write).unwrap();
            mirror.run(&mut pager, &step).unwrap();
        }
    }
    let Tried { failures, images } = tried;
    assert!(failures > 500, "only {failures} failures were tried");
    figures::print(&format!(
        "{failures} failing calls under the sandbox, {images} states opened again: \
         nothing lost, nothing double-owned"
    ));
}

#[test]
fn any_failing_call_in_opening_under_the_sandbox_is_named() {
    let (device, ..) = Device::new(Vec::new());
    let mut pager = engine()
        .create_store(device, new_file(Format::Zero))
        .unwrap();
    let mut mirror = Mirror::new(SIZE);
    let changes = vec![Change::Alloc(3), Change::AllocProtected(40)];
    mirror.run(&mut pager, &Step::Commit(changes)).unwrap();
    let file = bytes(pager);
    for access in [Access::Read, Access::Write] {
        let mut failures = 0;
        for verb in Verb::ALL {
            for after in 0.. {
                let (device, switch, durable) = Device::new(file.clone());
                switch.set(Fault {
                    verb,
                    after,
                    for_good: false,
                    no_space: false,
                });
                let opened = engine().open_store(device, access);
                if switch.clear() == 0 {
                    mirror.check(&opened.unwrap()).unwrap();
                    break;
                }
                failures += 1;
                let error = opened.unwrap_err();
                assert!(is_told(&error, verb), "{error}, {verb:?} after {after}");
                assert!(*durable.lock().unwrap() == file, "the file changed");
            }
        }
        assert!(failures > 5, "only {failures} failures were tried");
    }
}

/// A read that failed is no verdict: the next one is tried again.
#[test]
fn failing_read_of_a_page_is_an_error_and_nothing_more() {
    let (device, switch, _) = Device::new(Vec::new());
    let mut pager = engine()
        .create_store(device, new_file(Format::Zero))
        .unwrap();
    let mut mirror = Mirror::new(SIZE);
    let changes = vec![Change::Alloc(1), Change::AllocProtected(2)];
    mirror.run(&mut pager, &Step::Commit(changes)).unwrap();
    for verb in [Verb::Read, Verb::Stage] {
        switch.set(Fault {
            verb,
            after: 0,
            for_good: true,
            no_space: false,
        });
        let mut byte = [0];
        let error = match verb {
            Verb::Read => pager.read(pager.regular_pages().next().unwrap().unwrap(), 0, &mut byte),
            _ => pager.read_protected(ProtectedId::new(0), 0, &mut byte),
        }
        .unwrap_err();
        assert!(is_told(&error, verb), "{error}");
        assert!(switch.clear() > 0);
        mirror.check(&pager).unwrap();
    }
}

#[test]
fn failing_creation_under_the_sandbox_is_named() {
    for (format, page_count) in [(Format::One, 31), (Format::Zero, 4)] {
        fail_in_creation(format, page_count);
    }
}

fn fail_in_creation(format: Format, page_count: u64) {
    let growing = format!("growing the file to {page_count} pages");
    for verb in [Verb::Write, Verb::Sync, Verb::Grow] {
        let (device, switch, durable) = Device::new(Vec::new());
        switch.set(Fault {
            verb,
            after: 0,
            for_good: false,
            no_space: verb == Verb::Grow,
        });
        let error = engine().create_store(device, new_file(format)).unwrap_err();
        assert_eq!(switch.clear(), 1);
        let Error::Store { operation, .. } = &error else {
            panic!("{error:?}")
        };
        let expected = ["writing a new file", &growing];
        assert!(expected.contains(&&**operation), "{error}");
        let left = MemoryStore::from_bytes(SIZE, durable.lock().unwrap().clone());
        assert!(engine().open_store(left, Access::Write).is_err());
    }
}

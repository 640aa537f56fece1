//! The core natively against the core in the sandbox: one workload both ways
//! must leave the same bytes.

use std::any::Any;
use std::fs;

use pagebox::{Access, Format, MemoryStore, NewFile, PageSize, Pager, Store};
use pagebox_tests::figures;
use pagebox_tests::model::Model;
use pagebox_tests::workload::{Change, Step, Workload};

use crate::mirror::Mirror;
use crate::{engine, folder};

/// Both files, and what they should hold.
struct Twins {
    native: pagebox_core::Pager<MemoryStore>,
    sandboxed: Pager,
    model: Model,
    mirror: Mirror,
}

impl Twins {
    /// `head`: the first bytes of the file, which have the number that the host
    /// drew for it.
    fn new(page_size: PageSize, sandboxed: Pager, new: NewFile, head: &[u8]) -> Self {
        let store = MemoryStore::new(page_size);
        let new = pagebox_core::NewFile {
            format: match new.format {
                Format::Zero => pagebox_core::Format::Zero,
                _ => pagebox_core::Format::One,
            },
            page_count: new.page_count,
            uuid: head[16..32].try_into().unwrap(),
        };
        Self {
            native: pagebox_core::Pager::create_as(store, &new).unwrap(),
            sandboxed,
            model: Model::new(page_size.bytes()),
            mirror: Mirror::new(page_size),
        }
    }

    fn run(&mut self, step: &Step) {
        self.model.run(&mut self.native, step).unwrap();
        self.mirror.run(&mut self.sandboxed, step).unwrap();
    }

    /// In a store in memory.
    fn in_memory(page_size: PageSize, format: Format) -> Self {
        let new = NewFile {
            format,
            page_count: 0,
        };
        let pager = engine().create_store(MemoryStore::new(page_size), new);
        let store: Box<dyn Any> = pager.unwrap().close();
        let store = store.downcast::<MemoryStore>().unwrap();
        let head = store.bytes()[..32].to_vec();
        let pager = engine().open_store(*store, Access::Write).unwrap();
        Self::new(page_size, pager, new, &head)
    }

    /// Both are opened again. What was deferred is made durable, and nothing
    /// else is synced.
    fn reopen(&mut self) {
        self.sandboxed.reopen().unwrap();
        let info = self.native.committed();
        if info.durable < info.generation {
            self.native.sync().unwrap();
        }
        let store = std::mem::replace(
            &mut self.native,
            pagebox_core::Pager::create(MemoryStore::new(PageSize::KIB_1), 0).unwrap(),
        )
        .close();
        self.native = pagebox_core::Pager::open(store, pagebox_core::Access::Write).unwrap();
    }

    fn check(&mut self, context: &str) {
        self.model.check(&mut self.native).expect(context);
        self.mirror.check(&self.sandboxed).expect(context);
    }
}

/// Steps that fill several directory blocks and make the file grow, then a
/// random workload with frees and reopenings.
fn drive(twins: &mut Twins, format: Format, seed: u64, protected: u32, steps: u32) {
    let fill = [Change::AllocProtected(protected), Change::Alloc(20)];
    twins.run(&Step::Commit(fill.to_vec()));
    twins.run(&Step::Commit(vec![Change::Free(vec![1, 5, 9])]));
    let mut workload = match format {
        Format::Zero => Workload::new(seed),
        _ => Workload::deferring(seed),
    };
    for number in 0..steps {
        twins.run(&workload.step());
        if number % 37 == 36 {
            twins.reopen();
        }
        if number % 20 == 0 {
            twins.check(&format!("seed {seed}, step {number}"));
        }
    }
    // Closing a native pager undoes what was deferred.
    twins.run(&Step::Sync);
    twins.check(&format!("seed {seed}, at the end"));
}

/// Page sizes, how many protected pages there are at first (but for the last
/// size, they take several directory blocks), and how many steps to do.
const SIZES: [(PageSize, u32, u32); 4] = [
    (PageSize::KIB_1, 100, 400),
    (PageSize::KIB_4, 300, 200),
    (PageSize::KIB_16, 600, 60),
    (PageSize::KIB_64, 50, 40),
];

const BOTH_TWICE: [Format; 4] = [Format::Zero, Format::Zero, Format::One, Format::One];

#[test]
fn workload_natively_and_sandboxed_leaves_the_same_bytes() {
    let mut bytes_compared = 0;
    for (page_size, protected, steps) in SIZES {
        for (seed, format) in [0, 1, 0, 1].into_iter().zip(BOTH_TWICE) {
            let mut twins = Twins::in_memory(page_size, format);
            drive(&mut twins, format, seed, protected, steps);
            let native = twins.native.close();
            let store: Box<dyn Any> = twins.sandboxed.close();
            let sandboxed = store.downcast::<MemoryStore>().unwrap();
            assert!(
                native.bytes() == sandboxed.bytes(),
                "seed {seed}, page size {page_size}, format {format}"
            );
            bytes_compared += native.bytes().len();
        }
    }
    figures::print(&format!(
        "{} MiB of files written natively and sandboxed: all bytes the same",
        bytes_compared >> 20
    ));
}

/// The mapped file puts off what the store in memory does at once, and must
/// come to the same.
#[test]
fn workload_natively_and_on_a_mapped_file_leaves_the_same_bytes() {
    let sizes = [SIZES[0], SIZES[1]].into_iter();
    for ((page_size, protected, steps), format) in
        sizes.flat_map(|size| Format::ALL.map(|format| (size, format)))
    {
        let (_folder, path) = folder();
        let new = NewFile {
            format,
            page_count: 50,
        };
        let pager = engine().create_with(&path, page_size, new).unwrap();
        let mut twins = Twins::new(page_size, pager, new, &fs::read(&path).unwrap());
        drive(&mut twins, format, 7, protected, steps);
        drop(twins.sandboxed);
        let native = twins.native.close();
        assert!(
            fs::read(&path).unwrap() == native.bytes(),
            "page size {page_size}, format {format}"
        );

        // And each opens what the other made.
        let store = MemoryStore::from_bytes(page_size, fs::read(&path).unwrap());
        let mut opened = pagebox_core::Pager::open(store, pagebox_core::Access::Read).unwrap();
        twins.model.check(&mut opened).unwrap();
        let store: Box<dyn Store> = Box::new(native);
        let store: Box<dyn Any> = store;
        let native = *store.downcast::<MemoryStore>().unwrap();
        let opened = engine().open_store(native, Access::Read).unwrap();
        twins.mirror.check(&opened).unwrap();
    }
}

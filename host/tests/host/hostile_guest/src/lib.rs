//! A pager that does what pagers should not. The bytes of page 3 say what; in
//! everything else it is plausible: pages 0 to 2 are its own, page 3 is a
//! regular page, pages 4 and 5 hold protected pages 0 and 1, pages 6 and 7 are
//! where these are written next; the rest is free.
#![cfg(target_family = "wasm")]
#![no_std]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[path = "../../../../../pager-component/src/runtime.rs"]
mod runtime;

mod wit {
    wit_bindgen::generate!({ world: "pager-component", path: "../../../../wit" });

    use super::Guest;
    export!(Guest);
}

use runtime::{Local, trap};
use wit::exports::pagebox::pager::inspect as inspecting;
use wit::exports::pagebox::pager::pager;
use wit::exports::pagebox::pager::repair as repairing;
use wit::pagebox::pager::page_store::{
    Algorithm, Change, Checksum, Extent, HeldPage, PageBytes, PageView, Store, StoreError,
    ViewAccess,
};

struct Guest;

/// Where the name of the misdeed is.
const PAGE: u64 = 3;

/// The pages that hold protected pages 0 and 1, and those that the next write
/// of them goes to.
const PROTECTED: [u64; 2] = [4, 5];
const SHADOW: [u64; 2] = [6, 7];

/// The first page that nobody has.
const FREE: u64 = 8;

/// What the instance is to do, for what has no store at hand.
static NAME: Local<String> = Local::new(String::new());

/// A store, and what to do.
struct Misdeed {
    store: Store,
    name: String,
}

/// One page of zeros.
fn zero(page: u64) -> Change<'static> {
    Change::Zero(Extent {
        first: page,
        count: 1,
    })
}

/// A failure of the store in a commit.
fn failed(cause: StoreError) -> pager::Error {
    pager::Error::Store(pager::StoreFailure {
        operation: pager::Operation::Committing,
        cause: match cause {
            StoreError::OutOfBounds => pager::Cause::OutOfBounds,
            StoreError::InsufficientSpace => pager::Cause::InsufficientSpace,
            StoreError::ReadOnly => pager::Cause::ReadOnly,
            StoreError::Fenced => pager::Cause::Fenced,
            StoreError::Io(_) => pager::Cause::Io,
            StoreError::Other(_) => pager::Cause::Other,
        },
    })
}

impl Misdeed {
    fn of(store: Store) -> Self {
        let bytes = store.read(PAGE, 0, 64).unwrap_or_default();
        let name = text(&bytes);
        NAME.with(|it| it.clone_from(&name));
        Self { store, name }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// What can be done anywhere.
    fn anywhere(&self, place: &str) {
        let Some(what) = self.name.strip_suffix(place) else {
            return;
        };
        match what {
            "trap in " => trap(),
            "spin in " => spin(),
            "recurse in " => drop(black_box(recurse(1))),
            "recurse with frames in " => drop(black_box(recurse_with_frames(1))),
            "eat memory in " => eat_memory(),
            "read outside in " => read_outside(),
            "write outside in " => write_outside(),
            // What it may do: it fails where it cannot.
            "look in " => match self.store.read(PROTECTED[0], 0, 1).as_deref() {
                Ok([9]) => {}
                _ => trap(),
            },
            "change in " => {
                let _ = self.store.write(&[zero(0), Change::Sync]);
            }
            "change bytes in " => {
                let bytes = vec![0; 1024];
                let change = Change::Bytes(PageBytes { page: 0, bytes });
                let _ = self.store.write(&[change]);
            }
            "change by a buffer in " => {
                let held = HeldPage { page: 0, buffer: 0 };
                let _ = self.store.write(&[Change::Held(held)]);
            }
            "sync in " => {
                let _ = self.store.write(&[Change::Sync]);
            }
            "order in " => {
                let _ = self.store.write(&[Change::Order]);
            }
            "grow in " => {
                let _ = self.store.grow(self.store.geometry().page_count + 1);
            }
            "truncate in " => {
                let _ = self.store.truncate(1);
            }
            "change a view in " => {
                if let Ok(view) = self.store.view(0, ViewAccess::ReadWrite) {
                    let _ = view.write(0, &[0; 64]);
                }
            }
            "sync without end in " => loop {
                let _ = self.store.write(&[Change::Sync]);
            },
            "hold views in " => self.hold_views(),
            "share views in " => self.share_views(),
            "stage without end in " => loop {
                match self.store.stage(None) {
                    Ok(view) => core::mem::forget(view),
                    Err(_) => trap(),
                }
            },
            "make handles in " => loop {
                core::mem::forget(pager::Transaction::new(Tx::new("")));
            },
            _ => {}
        }
    }

    /// The checksum of a page as it is.
    fn checksum(&self, page: u64) -> Checksum {
        match self.store.checksums(&[page], Algorithm::Crc32).as_deref() {
            Ok([checksum]) => *checksum,
            _ => trap(),
        }
    }

    /// What a commit came to.
    fn committed(&self) -> pager::CommitInfo {
        pager::CommitInfo {
            generation: 100,
            durable: 100,
            page_count: self.store.geometry().page_count,
        }
    }

    /// What a commit of a snapshot came to.
    fn committed_snapshot(&self) -> pager::CommitInfo {
        let info = self.committed();
        match &*self.name {
            "go back to an earlier generation" => pager::CommitInfo {
                generation: 0,
                durable: 0,
                ..info
            },
            "leave a snapshot to the next sync" => pager::CommitInfo { durable: 99, ..info },
            _ => info,
        }
    }

    /// Writes the host's buffers, as a commit does.
    fn write_held(&self, pages: &[pager::HeldPage]) -> Result<(), pager::Error> {
        let shadow = |page: &pager::HeldPage| match usize::try_from(page.id) {
            Ok(id) if id < SHADOW.len() => SHADOW[id],
            _ => trap(),
        };
        let changes = pages.iter().filter_map(|page| {
            let (to, buffer) = match &*self.name {
                "write nothing" => return None,
                "write one of two" if page.id > 0 => return None,
                "write a buffer that is not there" => (shadow(page), page.buffer + 1),
                "write no buffer at all" => (shadow(page), u64::MAX),
                "write to page 0" => (0, page.buffer),
                "write to a regular page" => (PAGE, page.buffer),
                "write to another's page" => (PROTECTED[1], page.buffer),
                "write both to one page" => (SHADOW[0], page.buffer),
                "write past the end, and say nothing" => (1 << 40, page.buffer),
                _ => (shadow(page), page.buffer),
            };
            let held = HeldPage { page: to, buffer };
            Some(Change::Held(held))
        });
        let changes: Vec<_> = changes.chain([Change::Sync]).collect();
        let written = self.store.write(&changes);
        if self.is("write past the end, and say nothing") {
            return Ok(());
        }
        written.map_err(failed)
    }

    /// An allocation that is committed.
    fn allocated(&self, id: u64) -> pager::Allocated {
        let id = match &*self.name {
            "give page 0 away" => 0,
            "give away what is in use" => PAGE,
            "give away another's page" => PROTECTED[0],
            "give away what is not there" => 1 << 40,
            "give protected away twice" => 0,
            "give away an absurd id" => u64::MAX,
            _ => id,
        };
        let mut info = self.committed();
        if self.is("lie about the page count") {
            info.page_count += 1;
        }
        pager::Allocated { id, info }
    }

    fn hold_views(&self) {
        loop {
            match self.store.view(0, ViewAccess::ReadWrite) {
                Ok(view) => core::mem::forget(view),
                Err(_) => trap(),
            }
        }
    }

    fn share_views(&self) {
        if let Ok(view) = self.store.view(0, ViewAccess::ReadWrite) {
            loop {
                core::mem::forget(view.share());
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).to_string()
}

fn spin() -> ! {
    loop {
        black_box(0);
    }
}

/// Where the recursions end.
static END: AtomicU64 = AtomicU64::new(u64::MAX);

/// Takes nothing but the stack of calls.
fn recurse(depth: u64) -> u64 {
    if depth == END.load(Ordering::Relaxed) {
        return 1;
    }
    recurse(depth + 1) / (depth | 1)
}

/// Takes memory for each call, of which there is less.
fn recurse_with_frames(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    if depth == END.load(Ordering::Relaxed) {
        return 1;
    }
    recurse_with_frames(depth + 1) + here[3]
}

fn eat_memory() -> ! {
    loop {
        core::mem::forget(black_box(vec![1_u8; 1 << 20]));
    }
}

/// The last address that there can be.
const OUTSIDE: *mut u64 = 0xFFFF_FFF0 as *mut u64;

fn read_outside() {
    // Not sound: that is the point.
    black_box(unsafe { OUTSIDE.read_volatile() });
}

fn write_outside() {
    // Not sound: that is the point.
    unsafe { OUTSIDE.write_volatile(7) };
}

/// A list that claims memory which is not there.
fn list_outside() -> Vec<u64> {
    // Not sound: that is the point.
    unsafe { Vec::from_raw_parts(0xFFFF_0000 as *mut u64, 1 << 20, 1 << 20) }
}

struct Pager {
    misdeed: Misdeed,
    listed: AtomicU32,
}

struct Tx {
    name: String,
    /// The pager's store lives as long as the pager, which the host never
    /// drops before its transactions.
    misdeed: *const Misdeed,
    calls: AtomicU32,
    /// What it is to write.
    held: Local<Vec<pager::HeldPage>>,
}

/// The handle of the last transaction that was handed out.
static LAST: AtomicU32 = AtomicU32::new(0);

impl Tx {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            misdeed: core::ptr::null(),
            calls: AtomicU32::new(0),
            held: Local::new(Vec::new()),
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name
    }

    fn misdeed(&self) -> &Misdeed {
        // SAFETY: see the field.
        unsafe { self.misdeed.as_ref() }.unwrap_or_else(|| trap())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if self.is("spin in rolling back") {
            spin();
        }
    }
}

struct View {
    name: String,
}

impl Drop for View {
    fn drop(&mut self) {
        match &*self.name {
            "trap in dropping a view" => trap(),
            "spin in dropping a view" => spin(),
            _ => {}
        }
    }
}

impl pager::GuestView for View {
    fn generation(&self) -> u64 {
        match &*self.name {
            "view another generation" => 2,
            _ => 1,
        }
    }

    fn root(&self) -> Vec<u8> {
        match &*self.name {
            "give a root without end" => vec![7; 100 << 20],
            "give a root that is none" => Vec::new(),
            _ => vec![7],
        }
    }

    fn locate_protected(&self, _: u64) -> Result<pager::Location, pager::Error> {
        trap()
    }

    fn view_protected(&self, _: u64) -> Result<PageView, pager::Error> {
        trap()
    }

    fn protected(&self, _: u64, _: u32) -> Result<Vec<pager::ProtectedPage>, pager::Error> {
        trap()
    }
}

impl pager::Guest for Guest {
    type Pager = Pager;
    type Transaction = Tx;
    type View = View;

    fn commit(
        tx: pager::Transaction,
        _: pager::Durability,
    ) -> Result<pager::CommitInfo, pager::Error> {
        let tx: Tx = tx.into_inner();
        let misdeed = tx.misdeed();
        misdeed.anywhere("commit");
        let page_count = misdeed.store.geometry().page_count;
        let write = |changes: &[Change]| misdeed.store.write(changes).map_err(failed);
        let page_count = match &*tx.name {
            "lie about the page count" => page_count + 1,
            "grow absurdly" => misdeed.store.grow(1 << 50).map_err(failed)?.page_count,
            "grow past the limit" => misdeed.store.grow(1 << 12).map_err(failed)?.page_count,
            "write too much at once" => {
                let all = |_| {
                    Change::Zero(Extent {
                        first: 0,
                        count: page_count,
                    })
                };
                write(&(0..1 << 18).map(all).collect::<Vec<_>>())?;
                page_count
            }
            "write past the end" => {
                write(&[zero(page_count)])?;
                page_count
            }
            "ruin the file" => {
                write(&[zero(0), zero(1), zero(2), Change::Sync])?;
                page_count
            }
            _ => {
                tx.held.with(|pages| misdeed.write_held(pages))?;
                page_count
            }
        };
        Ok(pager::CommitInfo {
            generation: 100,
            durable: 100,
            page_count,
        })
    }

    fn create(store: Store, file: pager::NewFile) -> Result<pager::Pager, pager::Error> {
        match file.page_count {
            // Half a file, and then the end.
            1000 => {
                let _ = store.grow(8);
                let _ = store.write(&[zero(0), Change::Sync]);
                trap()
            }
            1001 => spin(),
            _ => Err(pager::Error::Full(7)),
        }
    }

    fn create_around(
        store: Store,
        file: pager::NewFile,
        _: Vec<Extent>,
    ) -> Result<pager::Pager, pager::Error> {
        Self::create(store, file)
    }

    fn open(store: Store, _: pager::Access) -> Result<pager::Pager, pager::Error> {
        let misdeed = Misdeed::of(store);
        misdeed.anywhere("open");
        match &*misdeed.name {
            // Not sound: that is the point.
            "hand out a handle of nothing" => {
                return Ok(unsafe { pager::Pager::from_handle(77) });
            }
            name if name.starts_with("fail") || name.ends_with(" in describe") => {
                return Err(pager::Error::Other);
            }
            _ => {}
        }
        Ok(pager::Pager::new(Pager {
            misdeed,
            listed: AtomicU32::new(0),
        }))
    }

    fn open_at(store: Store, root: Vec<u8>) -> Result<pager::Pager, pager::Error> {
        let misdeed = Misdeed::of(store);
        misdeed.anywhere("open at");
        if root != [7] {
            return Err(pager::Error::Damaged);
        }
        Ok(pager::Pager::new(Pager {
            misdeed,
            listed: AtomicU32::new(0),
        }))
    }

    fn close(_: pager::Pager) -> Store {
        trap()
    }

    fn page_size(head: Vec<u8>) -> Result<u32, pager::Error> {
        let name = text(head.get(3072..3136).unwrap_or_default());
        match &*name {
            "find an odd page size" => Ok(1000),
            "spin in page size" => spin(),
            _ => Ok(1024),
        }
    }

    fn describe(_: pager::Error) -> String {
        NAME.with(|name| match &**name {
            "trap in describe" => trap(),
            "spin in describe" => spin(),
            "eat memory in describe" => eat_memory(),
            "fail in megabytes" => "long ".repeat(1 << 20),
            "fail in many lines" => "it failed\n\n\x1b[2Jand cleared the screen".into(),
            _ => "doing what it may: it failed".into(),
        })
    }
}

impl Pager {
    fn is(&self, name: &str) -> bool {
        self.misdeed.is(name)
    }
}

impl pager::GuestPager for Pager {
    fn stats(&self) -> pager::Stats {
        self.misdeed.anywhere("stats");
        let page_count = self.misdeed.store.geometry().page_count;
        let mut stats = pager::Stats {
            format: "0.2".into(),
            capabilities: ["compaction", "snapshots", "views"]
                .map(Into::into)
                .into(),
            uuid: None,
            algorithm: Algorithm::Crc32,
            page_size: 1024,
            page_count: Some(page_count),
            page_limit: 7968,
            free_pages: Some(page_count - 8),
            regular_pages: Some(1),
            protected_pages: Some(2),
            protected_capacity: Some(33),
            protected_limit: 1914,
            internal_pages: Some(7),
            generation: Some(1),
            held_pages: 0,
            oldest_view: None,
        };
        match &*self.misdeed.name {
            "claim another page size" => stats.page_size = 4096,
            "claim too many pages" => {
                stats.page_count = Some(1 << 40);
                stats.free_pages = Some((1 << 40) - 8);
            }
            "claim to hold what it does not have" => stats.held_pages = 8,
            "claim what does not sum up" => stats.free_pages = Some(page_count - 9),
            "claim what overflows" => stats.free_pages = Some(u64::MAX),
            "claim an absurd capacity" => {
                stats.protected_capacity = Some(u64::MAX);
                stats.protected_pages = Some(u64::MAX);
            }
            "claim no page count" => stats.page_count = None,
            "claim no free pages" => stats.free_pages = None,
            "claim nothing of pages" => {
                stats.page_count = None;
                stats.free_pages = None;
            }
            "claim no protected pages" => stats.protected_pages = None,
            "claim no capacity" => stats.protected_capacity = None,
            "claim no generation" => stats.generation = None,
            _ => {}
        }
        stats
    }

    fn is_current(&self) -> Result<bool, pager::Error> {
        self.misdeed.anywhere("is-current");
        Ok(self.misdeed.name != "never current")
    }

    /// Finds any page.
    fn locate(&self, _: u64) -> Result<(), pager::Error> {
        self.misdeed.anywhere("locate");
        Ok(())
    }

    fn locate_protected(&self, id: u64) -> Result<pager::Location, pager::Error> {
        self.misdeed.anywhere("locate-protected");
        let Some(found) = usize::try_from(id).ok().and_then(|id| PROTECTED.get(id)) else {
            return Err(pager::Error::NotProtected(id));
        };
        let checksum = self.misdeed.checksum(*found);
        let page = match &*self.misdeed.name {
            "find protected in page 0" => Some(0),
            "find protected past the end" => Some(u64::MAX),
            "find protected in a regular page" => Some(PAGE),
            "find protected in another's page" => Some(PROTECTED[0]),
            "find protected nowhere" => None,
            _ => Some(*found),
        };
        Ok(pager::Location {
            page,
            generation: 1,
            checksum,
        })
    }

    fn view(&self, _: u64) -> Result<PageView, pager::Error> {
        trap()
    }

    fn view_protected(&self, _: u64) -> Result<PageView, pager::Error> {
        trap()
    }

    fn allocated(&self, start: u64, limit: u32) -> Result<Vec<Extent>, pager::Error> {
        let run = |first, count| Ok(vec![Extent { first, count }]);
        match &*self.misdeed.name {
            "list page 0" => run(0, 4),
            "list past the end" => run(3, 1 << 40),
            "list what overflows" => run(u64::MAX, 2),
            "list backwards" if start > 0 => run(3, 1),
            "list nothing again and again" => run(start.max(3), 0),
            "list too much" => Ok((0..=u64::from(limit))
                .map(|n| Extent {
                    first: 3 + 2 * n,
                    count: 1,
                })
                .collect()),
            "list megabytes" => {
                let run = Extent { first: 3, count: 1 };
                Ok(vec![run; 1 << 18])
            }
            _ if start <= PAGE => run(PAGE, 1),
            _ => Ok(Vec::new()),
        }
    }

    fn protected(&self, start: u64, limit: u32) -> Result<Vec<pager::ProtectedPage>, pager::Error> {
        let checksum = self.misdeed.checksum(PROTECTED[0]);
        let page = |id, page| pager::ProtectedPage {
            id,
            location: pager::Location {
                page: Some(page),
                generation: 1,
                checksum,
            },
        };
        Ok(match &*self.misdeed.name {
            "list protected in page 0" => vec![page(0, 0)],
            "list protected past the end" => vec![page(0, 1 << 40)],
            "list protected backwards" => vec![page(5, 4), page(4, 4)],
            "list protected without end" => {
                let ids = start..start + u64::from(limit);
                ids.map(|id| page(id, 4)).collect()
            }
            "list too many protected" => (0..=u64::from(limit)).map(|id| page(id, 4)).collect(),
            _ if self.listed.fetch_add(1, Ordering::Relaxed) == 0 => vec![page(0, 4)],
            _ => Vec::new(),
        })
    }

    fn sync(&self) -> Result<(), pager::Error> {
        self.misdeed.anywhere("syncing");
        Ok(())
    }

    fn pin(&self) -> Result<pager::View, pager::Error> {
        self.misdeed.anywhere("pin");
        let name = self.misdeed.name.clone();
        Ok(pager::View::new(View { name }))
    }

    fn snapshots(&self) -> Result<Vec<pager::Snapshot>, pager::Error> {
        self.misdeed.anywhere("snapshots");
        let snapshot = |generation| pager::Snapshot {
            name: "a name".into(),
            generation,
            time: 0,
        };
        Ok(match &*self.misdeed.name {
            "list snapshots backwards" => vec![snapshot(2), snapshot(1)],
            "list a snapshot twice" => vec![snapshot(2), snapshot(2)],
            _ => vec![snapshot(1)],
        })
    }

    fn create_snapshot(&self, _: String, _: u64) -> Result<pager::CommitInfo, pager::Error> {
        self.misdeed.anywhere("create-snapshot");
        Ok(self.misdeed.committed_snapshot())
    }

    fn delete_snapshot(&self, _: String) -> Result<pager::Done, pager::Error> {
        self.misdeed.anywhere("delete-snapshot");
        let info = self.misdeed.committed_snapshot();
        Ok(pager::Done { pages: 1, info })
    }

    fn restore_snapshot(&self, _: String) -> Result<pager::Done, pager::Error> {
        self.misdeed.anywhere("restore-snapshot");
        let info = self.misdeed.committed_snapshot();
        Ok(pager::Done { pages: 1, info })
    }

    fn compact(&self, _: u64, _: u32) -> Result<pager::Compacted, pager::Error> {
        self.misdeed.anywhere("compact");
        if self.misdeed.name == "cut the file to nothing" {
            let _ = self.misdeed.store.truncate(0);
        }
        Ok(pager::Compacted {
            moved: 1,
            left: 1,
            done: self.misdeed.name != "compact without end",
            obstacle: None,
            info: self.misdeed.committed_snapshot(),
        })
    }

    fn snapshot_pages(&self, _: String) -> Result<u64, pager::Error> {
        self.misdeed.anywhere("snapshot-pages");
        Ok(0)
    }

    fn pin_snapshot(&self, _: String) -> Result<pager::View, pager::Error> {
        self.misdeed.anywhere("pin-snapshot");
        let name = self.misdeed.name.clone();
        Ok(pager::View::new(View { name }))
    }

    fn snapshot_root(&self, _: String) -> Result<Vec<u8>, pager::Error> {
        trap()
    }

    fn changes(
        &self,
        _: Option<String>,
        _: Option<String>,
        start: u64,
        limit: u32,
    ) -> Result<Vec<pager::ChangedPage>, pager::Error> {
        self.misdeed.anywhere("changes");
        let changed = |id| pager::ChangedPage {
            id,
            before: None,
            after: None,
        };
        Ok(match &*self.misdeed.name {
            "list changes backwards" => vec![changed(2), changed(1)],
            "list changes before the start" if start > 0 => vec![changed(0)],
            "list more changes" => (0..=u64::from(limit)).map(changed).collect(),
            _ if start == 0 => vec![changed(0)],
            _ => Vec::new(),
        })
    }

    fn begin(&self) -> Result<pager::Transaction, pager::Error> {
        self.misdeed.anywhere("begin");
        if self.is("hand out a closed handle") && LAST.load(Ordering::Relaxed) != 0 {
            // Not sound: that is the point.
            return Ok(unsafe { pager::Transaction::from_handle(LAST.load(Ordering::Relaxed)) });
        }
        let mut tx = Tx::new(&self.misdeed.name);
        tx.misdeed = &self.misdeed;
        let tx = pager::Transaction::new(tx);
        LAST.store(tx.handle(), Ordering::Relaxed);
        Ok(tx)
    }

    fn alloc(&self) -> Result<pager::Allocated, pager::Error> {
        self.misdeed.anywhere("one-alloc");
        Ok(self.misdeed.allocated(FREE))
    }

    fn free(&self, _: u64) -> Result<pager::CommitInfo, pager::Error> {
        self.misdeed.anywhere("one-free");
        Ok(self.misdeed.committed())
    }

    fn alloc_protected(&self) -> Result<pager::Allocated, pager::Error> {
        self.misdeed.anywhere("one-alloc-protected");
        Ok(self.misdeed.allocated(2))
    }

    fn free_protected(&self, _: u64) -> Result<pager::CommitInfo, pager::Error> {
        self.misdeed.anywhere("one-free-protected");
        Ok(self.misdeed.committed())
    }

    fn write(
        &self,
        _: u64,
        pages: Vec<pager::HeldPage>,
        _: pager::Durability,
    ) -> Result<pager::CommitInfo, pager::Error> {
        self.misdeed.anywhere("write");
        self.misdeed.write_held(&pages)?;
        Ok(self.misdeed.committed())
    }
}

impl pager::GuestTransaction for Tx {
    fn alloc(&self, count: u32) -> Result<Vec<u64>, pager::Error> {
        self.misdeed().anywhere("alloc");
        let calls = u64::from(self.calls.fetch_add(1, Ordering::Relaxed));
        let count = u64::from(count);
        let first = FREE + calls * count;
        Ok(match &*self.name {
            "give page 0 away" => (0..count).collect(),
            "give away too few" => (first..first + count - 1).collect(),
            "give away too many" => (first..=first + count).collect(),
            "give a page away twice at once" => vec![FREE; count as usize],
            "give a page away twice" => (FREE..FREE + count).collect(),
            "give away what is in use" => (PAGE..PAGE + count).collect(),
            "give away another's page" => (PROTECTED[0]..PROTECTED[0] + count).collect(),
            "give away what is not there" => (1 << 40..(1 << 40) + count).collect(),
            "give away megabytes" => vec![9; 1 << 19],
            "give away a list outside" => list_outside(),
            _ => (first..first + count).collect(),
        })
    }

    fn free(&self, _: Vec<u64>) -> Result<(), pager::Error> {
        self.misdeed().anywhere("free");
        Ok(())
    }

    fn alloc_protected(&self, count: u32) -> Result<Vec<u64>, pager::Error> {
        self.misdeed().anywhere("alloc-protected");
        Ok(match &*self.name {
            "give protected away twice at once" => vec![2; count as usize],
            "give protected away twice" => (2..2 + u64::from(count)).collect(),
            "give away protected in use" => (0..count.into()).collect(),
            "give away an absurd id" => vec![u64::MAX],
            _ => (2..2 + u64::from(count)).collect(),
        })
    }

    fn claim_protected(&self, _: Vec<u64>) -> Result<(), pager::Error> {
        self.misdeed().anywhere("claim");
        Ok(())
    }

    fn free_protected(&self, _: Vec<u64>) -> Result<(), pager::Error> {
        self.misdeed().anywhere("free-protected");
        Ok(())
    }

    /// No host of this kind asks: it has the bytes itself.
    fn stage_blank(&self, _: u64) -> Result<PageView, pager::Error> {
        trap()
    }

    fn stage(&self, _: u64) -> Result<PageView, pager::Error> {
        trap()
    }

    fn write(&self, pages: Vec<pager::HeldPage>) -> Result<(), pager::Error> {
        self.misdeed().anywhere("writing");
        self.held.with(|held| held.extend(pages));
        Ok(())
    }
}

struct Inspector(Misdeed);

impl inspecting::Guest for Guest {
    type Inspector = Inspector;

    fn open(store: Store) -> inspecting::Inspector {
        let misdeed = Misdeed::of(store);
        misdeed.anywhere("inspect");
        inspecting::Inspector::new(Inspector(misdeed))
    }
}

impl inspecting::GuestInspector for Inspector {
    fn is_current(&self) -> bool {
        self.0.anywhere("is-current");
        self.0.name != "never current"
    }

    fn snapshots(&self) -> Result<Vec<inspecting::Snapshot>, String> {
        self.0.anywhere("inspect-snapshots");
        Ok(Vec::new())
    }

    fn show_snapshot(&self, _: String) -> Result<bool, String> {
        self.0.anywhere("show-snapshot");
        Ok(false)
    }

    fn summary(&self) -> inspecting::Summary {
        self.0.anywhere("summary");
        inspecting::Summary {
            format: String::new(),
            capabilities: Vec::new(),
            page_size: 1024,
            page_count: Some(1 << 60),
            file_pages: 1 << 60,
            tail: 0,
            free_pages: None,
            regular_pages: Some(1 << 60),
            protected_pages: None,
            internal_pages: None,
            generation: None,
            page_limit: 0,
            protected_limit: 0,
            protected_capacity: None,
            snapshots: None,
            recovery: inspecting::Recovery {
                verdict: "clean".into(),
                explanation: String::new(),
                steps: Vec::new(),
            },
            last_commit: None,
        }
    }

    fn page_kinds(&self) -> Vec<inspecting::PageKind> {
        vec![inspecting::PageKind {
            code: 1,
            name: "regular".into(),
            letter: "R".into(),
            description: String::new(),
            count: 1 << 60,
        }]
    }

    fn kinds(&self, _: u64, count: u32) -> Vec<u8> {
        if self.0.is("tell more kinds") {
            vec![1; count as usize + 1]
        } else {
            // Of pages that are not there, too.
            vec![1; count as usize]
        }
    }

    fn tiles(&self, first: u64, _: u64, count: u32) -> Vec<inspecting::Tile> {
        let tile = inspecting::Tile {
            first,
            count: 1,
            kind: 1,
            worst: None,
            used: 1,
        };
        vec![tile; count as usize + 1]
    }

    fn free_space(&self) -> inspecting::FreeSpace {
        inspecting::FreeSpace {
            runs: Vec::new(),
            longest: None,
        }
    }

    fn structures(&self, _: u32, _: u32) -> Vec<inspecting::Structure> {
        Vec::new()
    }

    fn directory(&self, start: u64, limit: u32, _: bool) -> Vec<inspecting::Entry> {
        let checksum = self.0.checksum(PROTECTED[0]);
        let entry = |id| inspecting::Entry {
            id,
            page: Some(4),
            pages: Vec::new(),
            generation: 1,
            checksum,
            actual: None,
            problem: String::new(),
            place: String::new(),
        };
        match &*self.0.name {
            "list entries backwards" => vec![entry(9), entry(8)],
            "list entries without end" => (start..start + u64::from(limit)).map(entry).collect(),
            _ => Vec::new(),
        }
    }

    fn page(&self, _: u64) -> Option<inspecting::PageInfo> {
        None
    }

    fn findings(&self, cursor: u64) -> inspecting::FindingsPart {
        let next = match &*self.0.name {
            "find the same for ever" => Some(cursor),
            "find without end" => Some(cursor + 1),
            _ => None,
        };
        inspecting::FindingsPart {
            findings: Vec::new(),
            next,
            done: 0,
            total: u64::MAX,
        }
    }
}

impl repairing::Guest for Guest {
    fn mend(store: Store) -> Result<Vec<repairing::RepairAction>, pager::Error> {
        let misdeed = Misdeed::of(store);
        let _ = misdeed.store.write(&[zero(0), Change::Sync]);
        misdeed.anywhere("mend");
        Ok(Vec::new())
    }
}

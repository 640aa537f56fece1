//! A pager that does what pagers should not. The bytes of page 3 say what; in
//! everything else it is plausible: pages 0 to 2 are its own, page 3 is a
//! regular page, pages 4 and 5 hold protected page 0, the rest is free.
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

use runtime::trap;
use wit::exports::pagebox::pager::inspect as inspecting;
use wit::exports::pagebox::pager::pager;
use wit::exports::pagebox::pager::repair as repairing;
use wit::pagebox::pager::page_store::{Change, Extent, PageView, Store, ViewAccess};

struct Guest;

/// Where the name of the misdeed is.
const PAGE: u64 = 3;

/// The page that is protected page 0.
const PROTECTED: u64 = 4;

/// A store, and what to do.
struct Misdeed {
    store: Store,
    name: String,
}

impl Misdeed {
    fn of(store: Store) -> Self {
        let bytes = store.read(PAGE, 0, 64).unwrap_or_default();
        Self {
            store,
            name: text(&bytes),
        }
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
            "look in " => match self.store.read(PROTECTED, 0, 1).as_deref() {
                Ok([9]) => {}
                _ => trap(),
            },
            "change in " => {
                let _ = self.store.write(&[Change::Zero(0)], true);
            }
            "reset in " => {
                let all = Extent { first: 0, count: 6 };
                let _ = self.store.write(&[Change::Reset(all)], false);
            }
            "sync in " => {
                let _ = self.store.write(&[], true);
            }
            "grow in " => {
                let _ = self.store.grow(self.store.geometry().page_count + 1);
            }
            "change a view in " => {
                if let Ok(view) = self.store.view(0, ViewAccess::ReadWrite) {
                    let _ = view.write(0, &[0; 64]);
                }
            }
            "sync without end in " => loop {
                let _ = self.store.write(&[], true);
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
}

/// The handle of the last transaction that was handed out.
static LAST: AtomicU32 = AtomicU32::new(0);

impl Tx {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            misdeed: core::ptr::null(),
            calls: AtomicU32::new(0),
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

impl pager::Guest for Guest {
    type Pager = Pager;
    type Transaction = Tx;

    fn commit(tx: pager::Transaction) -> Result<pager::CommitInfo, pager::Error> {
        let tx: Tx = tx.into_inner();
        let misdeed = tx.misdeed();
        misdeed.anywhere("commit");
        let page_count = misdeed.store.geometry().page_count;
        let failed = |cause| {
            pager::Error::Store(pager::StoreFailure {
                operation: "growing".into(),
                cause,
            })
        };
        let page_count = match &*tx.name {
            "lie about the page count" => page_count + 1,
            "grow absurdly" => misdeed.store.grow(1 << 50).map_err(failed)?.page_count,
            "grow past the limit" => misdeed.store.grow(1 << 12).map_err(failed)?.page_count,
            "write too much at once" => {
                let all = |_| {
                    Change::Reset(Extent {
                        first: 0,
                        count: page_count,
                    })
                };
                let changes: Vec<_> = (0..1 << 18).map(all).collect();
                misdeed.store.write(&changes, true).map_err(failed)?;
                page_count
            }
            "write past the end" => {
                let changes = [Change::Zero(page_count)];
                misdeed.store.write(&changes, true).map_err(failed)?;
                page_count
            }
            "ruin the file" => {
                let changes: Vec<_> = (0..3).map(Change::Zero).collect();
                misdeed.store.write(&changes, true).map_err(failed)?;
                page_count
            }
            _ => page_count,
        };
        Ok(pager::CommitInfo {
            generation: 100,
            page_count,
        })
    }

    fn create(store: Store, page_count: u64) -> Result<pager::Pager, pager::Error> {
        match page_count {
            // Half a file, and then the end.
            1000 => {
                let _ = store.grow(8);
                let _ = store.write(&[Change::Zero(0)], true);
                trap()
            }
            1001 => spin(),
            _ => Err(pager::Error::Full(7)),
        }
    }

    fn open(store: Store, _: pager::Access) -> Result<pager::Pager, pager::Error> {
        let misdeed = Misdeed::of(store);
        misdeed.anywhere("open");
        match &*misdeed.name {
            "fail in megabytes" => {
                let text = "long ".repeat(1 << 20);
                return Err(pager::Error::Other(Some(text)));
            }
            // Not sound: that is the point.
            "hand out a handle of nothing" => {
                return Ok(unsafe { pager::Pager::from_handle(77) });
            }
            _ => {}
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
        trap()
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
            page_size: 1024,
            page_count,
            page_limit: 7968,
            free_pages: page_count - 6,
            regular_pages: 1,
            protected_pages: 1,
            protected_capacity: 33,
            protected_limit: 1914,
            internal_pages: 5,
            generation: 1,
        };
        match &*self.misdeed.name {
            "claim another page size" => stats.page_size = 4096,
            "claim too many pages" => {
                stats.page_count = 1 << 40;
                stats.free_pages = stats.page_count - 6;
            }
            "claim what does not sum up" => stats.free_pages -= 1,
            "claim what overflows" => stats.free_pages = u64::MAX,
            "claim an absurd capacity" => {
                stats.protected_capacity = u64::MAX;
                stats.protected_pages = u64::MAX;
            }
            _ => {}
        }
        stats
    }

    fn is_current(&self) -> Result<bool, pager::Error> {
        self.misdeed.anywhere("is-current");
        Ok(self.misdeed.name != "never current")
    }

    fn locate(&self, id: u64) -> Result<u64, pager::Error> {
        self.misdeed.anywhere("locate");
        Ok(match &*self.misdeed.name {
            "locate in page 0" => 0,
            "locate past the end" => 1 << 40,
            "locate elsewhere" => 1,
            _ => id,
        })
    }

    fn locate_protected(&self, _: u64) -> Result<pager::Location, pager::Error> {
        self.misdeed.anywhere("locate-protected");
        let page = match &*self.misdeed.name {
            "find protected in page 0" => 0,
            "find protected past the end" => u64::MAX,
            "find protected in a regular page" => PAGE,
            _ => PROTECTED,
        };
        Ok(pager::Location {
            page,
            generation: 1,
            checksum: 0,
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
        let page = |id, active_page, shadow_page| pager::ProtectedPage {
            id,
            active_page,
            shadow_page,
            generation: 1,
            checksum: 0,
        };
        Ok(match &*self.misdeed.name {
            "list protected in page 0" => vec![page(0, 0, 5)],
            "list protected past the end" => vec![page(0, 4, 1 << 40)],
            "list protected backwards" => vec![page(5, 4, 5), page(4, 4, 5)],
            "list protected without end" => {
                let ids = start..start + u64::from(limit);
                ids.map(|id| page(id, 4, 5)).collect()
            }
            "list too many protected" => (0..=u64::from(limit)).map(|id| page(id, 4, 5)).collect(),
            _ if self.listed.fetch_add(1, Ordering::Relaxed) == 0 => vec![page(0, 4, 5)],
            _ => Vec::new(),
        })
    }

    fn sync(&self) -> Result<(), pager::Error> {
        self.misdeed.anywhere("syncing");
        Ok(())
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
}

impl pager::GuestTransaction for Tx {
    fn alloc(&self, count: u32) -> Result<Vec<u64>, pager::Error> {
        self.misdeed().anywhere("alloc");
        let calls = u64::from(self.calls.fetch_add(1, Ordering::Relaxed));
        let count = u64::from(count);
        let first = 6 + calls * count;
        Ok(match &*self.name {
            "give page 0 away" => (0..count).collect(),
            "give away too few" => (first..first + count - 1).collect(),
            "give away too many" => (first..=first + count).collect(),
            "give a page away twice at once" => vec![6; count as usize],
            "give a page away twice" => (6..6 + count).collect(),
            "give away what is in use" => (PAGE..PAGE + count).collect(),
            "give away what is not there" => (1 << 40..(1 << 40) + count).collect(),
            "give away megabytes" => vec![7; 1 << 19],
            "give away a list outside" => list_outside(),
            _ => (first..first + count).collect(),
        })
    }

    fn free(&self, _: Vec<u64>) -> Result<(), pager::Error> {
        self.misdeed().anywhere("free");
        Ok(())
    }

    fn alloc_protected(&self, count: u32) -> Result<Vec<u64>, pager::Error> {
        Ok(match &*self.name {
            "give protected away twice" => vec![1; count as usize],
            "give away an absurd id" => vec![u64::MAX],
            _ => (1..=count.into()).collect(),
        })
    }

    fn free_protected(&self, _: Vec<u64>) -> Result<(), pager::Error> {
        Ok(())
    }

    fn stage_blank(&self, id: u64) -> Result<PageView, pager::Error> {
        self.stage(id)
    }

    fn stage(&self, _: u64) -> Result<PageView, pager::Error> {
        let misdeed = self.misdeed();
        misdeed.anywhere("stage");
        let view = match &*self.name {
            "stage page 0 itself" => misdeed.store.view(0, ViewAccess::ReadWrite),
            // Not sound: that is the point.
            "stage a handle of nothing" => return Ok(unsafe { PageView::from_handle(4711) }),
            "keep what it staged" => misdeed.store.stage(Some(PROTECTED)).map(|view| {
                let shared = view.share();
                core::mem::forget(view);
                shared
            }),
            _ => misdeed.store.stage(Some(PROTECTED)),
        };
        view.map_err(|cause| {
            pager::Error::Store(pager::StoreFailure {
                operation: "staging".into(),
                cause,
            })
        })
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

    fn summary(&self) -> inspecting::Summary {
        self.0.anywhere("summary");
        inspecting::Summary {
            format: String::new(),
            page_size: 1024,
            page_count: 1 << 60,
            file_pages: 1 << 60,
            tail: 0,
            free_pages: 0,
            regular_pages: 1 << 60,
            protected_pages: 0,
            internal_pages: 0,
            generation: 0,
            active_side: None,
            page_limit: 0,
            protected_limit: 0,
            protected_capacity: 0,
            recovery: inspecting::Recovery {
                verdict: "clean".into(),
                explanation: String::new(),
                steps: Vec::new(),
            },
            last_allocated: Vec::new(),
            last_freed: Vec::new(),
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

    fn free_runs(&self) -> Vec<u64> {
        Vec::new()
    }

    fn structures(&self, _: u32, _: u32) -> Vec<inspecting::Structure> {
        Vec::new()
    }

    fn directory(&self, start: u64, limit: u32, _: bool) -> Vec<inspecting::Slot> {
        let slot = |id| inspecting::Slot {
            id,
            block: 0,
            index: 0,
            active: inspecting::Side::A,
            page_a: 4,
            page_b: 5,
            generation: 1,
            checksum: 0,
            actual: None,
            problem: String::new(),
        };
        match &*self.0.name {
            "list slots backwards" => vec![slot(9), slot(8)],
            "list slots without end" => (start..start + u64::from(limit)).map(slot).collect(),
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
        let _ = misdeed.store.write(&[Change::Zero(0)], true);
        misdeed.anywhere("mend");
        Ok(Vec::new())
    }
}

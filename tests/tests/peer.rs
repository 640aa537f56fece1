//! Us and the peer, `mappedpages` 0.2.0, on each other's files.

use std::fs;
use std::path::Path;

use pagebox_core::{Access, Format, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize};
use pagebox_tests::crash::{CrashStore, Moment, Record};
use pagebox_tests::decode::{Image, State, decode};
use pagebox_tests::model::{Model, regular_pages};
use pagebox_tests::peer::{How, Op, Peer, PeerProcess, Seen, in_process};
use pagebox_tests::peer_sim::PeerSim;
use pagebox_tests::rng::Rng;
use pagebox_tests::scratch;
use pagebox_tests::upgrade::convert;
use pagebox_tests::workload::{Change, Step, Workload};

/// Everything that the crash tests say of the peer's crashes rests on this.
#[test]
fn peer_simulation_of_any_workload_leaves_the_bytes_of_the_peer() {
    for (page_size, ops) in [(0x400, 1000), (0x1000, 300), (0x4000, 100), (0x1_0000, 40)] {
        let folder = scratch::folder();
        let path = folder.path().join("file");
        let mut real = in_process(How::Create, &path, page_size).unwrap();
        let bytes = fs::read(&path).unwrap();
        let store = CrashStore::from_bytes(PageSize::from_bytes(page_size as u32).unwrap(), &bytes);
        let mut simulated = PeerSim::open(&store).unwrap();
        let mut rng = Rng::new(page_size as u64);
        let first = Op::AllocProtected(if page_size == 0x400 { 70 } else { 1 });
        assert_eq!(real.run(&first), simulated.run(&first));
        for step in 0..ops {
            let Seen {
                regular,
                protected,
                page_count,
                ..
            } = real.see().unwrap();
            assert!(page_count < 4096, "the peer panics beyond");
            let regular: Vec<_> = regular.into_keys().collect();
            let protected: Vec<_> = protected.into_keys().collect();
            let op = Op::random(&mut rng, &regular, &protected, page_size, true);
            assert_eq!(real.run(&op), simulated.run(&op), "step {step}: {op}");
            assert_eq!(real.see(), simulated.see(), "step {step}: {op}");
            assert!(
                fs::read(&path).unwrap() == store.bytes(),
                "step {step}: {op}"
            );
            if rng.chance(1, 20) {
                simulated = PeerSim::open(&store).unwrap();
                real = in_process(How::Open, &path, page_size).unwrap();
            }
        }
        let blocks = decode(&*store.pages()).unwrap().blocks.len();
        assert!(
            page_size > 0x400 || blocks > 2,
            "only {blocks} directory blocks were tried"
        );
    }
}

/// The peer in a process of its own.
fn peer() -> PeerProcess {
    PeerProcess::start(env!("CARGO_BIN_EXE_peer"))
}

/// Everything that we see in a file, in the peer's words.
fn seen_by_us(pager: &mut Pager<MemoryStore>) -> Seen {
    let crc = |pager: &Pager<MemoryStore>, page| crc32fast::hash(pager.store().page(page).unwrap());
    let stats = pager.stats();
    let mut seen = Seen {
        page_count: stats.page_count.unwrap(),
        free_count: stats.free_pages.unwrap(),
        ..Seen::default()
    };
    for page in regular_pages(pager, 100).unwrap() {
        seen.regular.insert(page, crc(pager, page));
    }
    let ids: Vec<_> = pager
        .protected(ProtectedId(0), usize::MAX)
        .unwrap()
        .into_iter()
        .map(|it| it.id)
        .collect();
    for id in ids {
        let page = pager.verify_protected(id).unwrap().page.unwrap();
        seen.protected.insert(id.0, crc(pager, page));
    }
    seen
}

fn open_ours(path: &Path, page_size: PageSize, access: Access) -> Pager<MemoryStore> {
    Pager::open(
        MemoryStore::from_bytes(page_size, fs::read(path).unwrap()),
        access,
    )
    .unwrap()
}

/// Some work of the peer's on the file that it has open.
fn peer_works(peer: &mut PeerProcess, page_size: usize, ops: u64, rng: &mut Rng) {
    let Seen {
        regular, protected, ..
    } = peer.see().unwrap();
    let mut regular: Vec<_> = regular.into_keys().collect();
    let mut protected: Vec<_> = protected.into_keys().collect();
    for _ in 0..ops {
        let op = Op::random(rng, &regular, &protected, page_size, true);
        let ids = peer.run(&op).unwrap();
        match op {
            Op::Alloc(_) => regular.extend(ids),
            Op::AllocProtected(_) => protected.extend(ids),
            Op::Free(ids) => regular.retain(|id| !ids.contains(id)),
            Op::FreeProtected(ids) => protected.retain(|id| !ids.contains(id)),
            Op::Write(_) | Op::WriteProtected(_) => {}
        }
    }
}

/// Page sizes, operations of the peer in a round, steps of ours in a round, and
/// protected pages to begin with: more than one directory block of them, but
/// where that would take a file of 300 MB.
const ROUNDS: [(usize, u64, u64, u64); 4] = [
    (0x400, 800, 400, 70),
    (0x1000, 500, 200, 300),
    (0x4000, 200, 100, 600),
    (0x1_0000, 60, 30, 20),
];

#[test]
fn files_go_back_and_forth_between_the_peer_and_us() {
    for (page_size, peer_ops, our_steps, protected) in ROUNDS {
        let size = PageSize::from_bytes(page_size as u32).unwrap();
        let folder = scratch::folder();
        let path = folder.path().join("file");
        let mut rng = Rng::new(page_size as u64);
        let mut peer = peer();
        peer.file(How::Create, &path, page_size).unwrap();
        peer.run(&Op::AllocProtected(protected)).unwrap();
        for round in 0..4 {
            peer_works(&mut peer, page_size, peer_ops, &mut rng);
            let seen = peer.see().unwrap();

            let mut reader = open_ours(&path, size, Access::Read);
            assert_eq!(
                seen_by_us(&mut reader),
                seen,
                "page size {page_size}, round {round}"
            );
            let mut pager = open_ours(&path, size, Access::Write);
            let state = State::of(pager.store().bytes(), page_size);
            assert!(
                page_size == 0x1_0000 || state.blocks.len() > 1,
                "too few blocks"
            );
            let mut model = Model::of(
                &state.into(),
                &Image {
                    bytes: pager.store().bytes(),
                    page_size,
                },
            );
            let mut workload = Workload::new(rng.next_u64());
            for _ in 0..our_steps {
                model.run(&mut pager, &workload.step()).unwrap();
            }
            model.check(&mut pager).unwrap();
            let ours = seen_by_us(&mut pager);
            assert!(ours.page_count <= 4096, "the peer panics beyond");
            fs::write(&path, pager.close().bytes()).unwrap();

            peer.file(How::Open, &path, page_size).unwrap();
            assert_eq!(
                peer.see().unwrap(),
                ours,
                "page size {page_size}, round {round}"
            );
        }
    }
}

#[test]
fn a_file_that_we_made_is_the_peers_too() {
    for page_size in [0x400, 0x1000, 0x4000, 0x1_0000] {
        let size = PageSize::from_bytes(page_size as u32).unwrap();
        let folder = scratch::folder();
        let path = folder.path().join("file");
        let mut peer = peer();
        for page_count in [0, 4, 5, 100] {
            let mut pager = Pager::create(MemoryStore::new(size), page_count).unwrap();
            fs::write(&path, pager.store().bytes()).unwrap();
            peer.file(How::Open, &path, page_size).unwrap();
            assert_eq!(peer.see().unwrap(), seen_by_us(&mut pager));
            // It grows the file that we made with a page count of its own.
            peer.run(&Op::Alloc(page_count + 1)).unwrap();
            peer.run(&Op::AllocProtected(1)).unwrap();
            let mut pager = open_ours(&path, size, Access::Write);
            assert_eq!(seen_by_us(&mut pager), peer.see().unwrap());
        }
    }
}

/// A file of the peer's that became one of format 1 and went back is the peer's.
#[test]
fn a_file_that_went_to_format_1_and_back_is_the_peers_still() {
    for (page_size, ops, _, protected) in ROUNDS {
        let size = PageSize::from_bytes(page_size as u32).unwrap();
        let folder = scratch::folder();
        let path = folder.path().join("file");
        let mut rng = Rng::new(page_size as u64);
        let mut peer = peer();
        peer.file(How::Create, &path, page_size).unwrap();
        peer.run(&Op::AllocProtected(protected)).unwrap();
        peer_works(&mut peer, page_size, ops, &mut rng);
        // Where the head of format 1 is to be.
        let regular = peer.see().unwrap().regular;
        let in_the_way: Vec<_> = regular.into_keys().filter(|&page| page < 12).collect();
        if page_size < 4096 && !in_the_way.is_empty() {
            peer.run(&Op::Free(in_the_way)).unwrap();
        }
        let before = peer.see().unwrap();

        let mut old = open_ours(&path, size, Access::Read);
        let mut new = convert(&mut old, MemoryStore::new(size), Format::One).unwrap();
        let mut back = convert(&mut new, MemoryStore::new(size), Format::Zero).unwrap();
        fs::write(&path, back.store().bytes()).unwrap();
        peer.file(How::Open, &path, page_size).unwrap();
        let after = peer.see().unwrap();
        assert_eq!(after, seen_by_us(&mut back), "page size {page_size}");
        assert_eq!(after.regular, before.regular, "page size {page_size}");
        assert_eq!(after.protected, before.protected, "page size {page_size}");
        peer_works(&mut peer, page_size, 20, &mut rng);
    }
}

/// What the simulated peer says of an image of ours is what the peer says.
#[test]
fn peer_simulation_opens_crash_images_as_the_peer_does() {
    let folder = scratch::folder();
    let path = folder.path().join("file");
    let mut rng = Rng::new(0);
    let mut real = peer();
    let (mut opened, mut refused) = (0, 0);
    for (page_size, steps) in [(PageSize::KIB_1, 60), (PageSize::KIB_4, 20)] {
        let store = CrashStore::new(page_size);
        let mut pager = Pager::create(store.clone(), 0).unwrap();
        let mut model = Model::new(page_size.bytes());
        let mut workload = Workload::new(1);
        model
            .run(&mut pager, &Step::Commit(vec![Change::AllocProtected(40)]))
            .unwrap();
        for _ in 0..steps {
            store.record(Record::Syncs);
            model.run(&mut pager, &workload.step()).unwrap();
            let images = |moment: &Moment| {
                moment.images(4, &mut rng, |image, survivors| {
                    fs::write(&path, image.bytes()).unwrap();
                    let seen = real
                        .file(How::Open, &path, page_size.bytes())
                        .and_then(|()| real.see());
                    let simulated = PeerSim::open(&image).and_then(|mut peer| peer.see());
                    assert_eq!(seen.clone().ok(), simulated.ok(), "{seen:?}; {survivors}");
                    *(if seen.is_ok() {
                        &mut opened
                    } else {
                        &mut refused
                    }) += 1;
                })
            };
            store.take_moments().iter().map(images).for_each(drop);
        }
    }
    // A torn page 0 is what it refuses.
    assert!(
        opened > 100 && refused > 10,
        "{opened} opened, {refused} refused"
    );
}

//! Us and the peer, `mappedpages` 0.2.0, on each other's files.

use std::fs;

use pagebox_store::PageSize;
use pagebox_tests::crash::CrashStore;
use pagebox_tests::decode::decode;
use pagebox_tests::peer::{How, Op, Peer, Seen, in_process};
use pagebox_tests::peer_sim::PeerSim;
use pagebox_tests::rng::Rng;
use pagebox_tests::scratch;

/// Everything that the crash tests say of the peer's crashes rests on this.
#[test]
fn peer_simulation_of_any_workload_leaves_the_bytes_of_the_peer() {
    for (page_size, ops) in [(0x400, 3000), (0x1000, 300), (0x4000, 100), (0x1_0000, 40)] {
        let folder = scratch::folder();
        let path = folder.path().join("file");
        let mut real = in_process(How::Create, &path, page_size).unwrap();
        let bytes = fs::read(&path).unwrap();
        let store = CrashStore::from_bytes(PageSize::from_bytes(page_size as u32).unwrap(), &bytes);
        let mut simulated = PeerSim::open(&store).unwrap();
        let mut rng = Rng::new(page_size as u64);
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

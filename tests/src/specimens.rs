//! [`specimens`]: files to mutate.

use pagebox_core::Pager;
use pagebox_store::PageSize;

use crate::crash::{CrashStore, Record};
use crate::model::Model;
use crate::peer::{Op, Peer};
use crate::peer_sim::PeerSim;
use crate::rng::Rng;
use crate::workload::{Change, Step, Workload};

const SOUND: &str = "the medium is sound";

/// Sound files, and what crashes leave of them: ours, and the peer's.
pub fn specimens(page_size: PageSize) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    let mut rng = Rng::new(0);
    for protected in [0, 2, 35] {
        let store = CrashStore::new(page_size);
        let mut pager = Pager::create(store.clone(), 0).expect(SOUND);
        let mut model = Model::new(page_size.bytes());
        let changes = vec![Change::Alloc(4), Change::AllocProtected(protected)];
        model.run(&mut pager, &Step::Commit(changes)).expect(SOUND);
        let mut workload = Workload::new(u64::from(protected));
        store.record(Record::Syncs);
        for _ in 0..4 {
            model.run(&mut pager, &workload.step()).expect(SOUND);
            files.push(store.bytes());
        }
        drop(pager);
        let mut peer = PeerSim::open(&store).expect(SOUND);
        for op in [Op::Alloc(1), Op::AllocProtected(1), Op::AllocProtected(33)] {
            peer.run(&op).expect(SOUND);
            files.push(store.bytes());
        }
        for moment in store.take_moments().iter().step_by(5) {
            moment.images(1, &mut rng, |image, _| files.push(image.bytes()));
        }
    }
    files
}

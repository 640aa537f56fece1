//! Files of the peer, `mappedpages` 0.2.0, changed through the program and given
//! back: both must see the same pages with the same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use pagebox_tests::peer::{How, Op, Seen, in_process};
use pagebox_tests::rng::Rng;

use crate::run::{Folder, run, run_with};

/// The program, on a file.
struct Ours<'a> {
    file: &'a str,
}

impl Ours<'_> {
    fn read(&self, id: u64, protected: bool) -> Vec<u8> {
        run(self.args("read", &[id], protected)).done().output
    }

    fn args(&self, command: &str, ids: &[u64], protected: bool) -> Vec<String> {
        let mut args = vec![command.to_owned(), self.file.to_owned()];
        args.extend(ids.iter().map(u64::to_string));
        args.extend(protected.then(|| "--protected".to_owned()));
        args
    }

    /// What it sees in the file: the checksum of each page's bytes.
    fn see(&self) -> Seen {
        let info = run(["info", self.file, "--json"]).done().json();
        assert_eq!(info["recovery"], "clean");
        let list = run(["list", self.file, "--json"]).done().json();
        let regular = list["regular"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_u64().unwrap());
        let protected = list["protected"].as_array().unwrap().iter();
        let protected = protected.map(|slot| slot["id"].as_u64().unwrap());
        let checksums = |ids: Vec<u64>, protected| -> BTreeMap<u64, u32> {
            ids.into_iter()
                .map(|id| (id, crc32fast::hash(&self.read(id, protected))))
                .collect()
        };
        Seen {
            page_count: info["page_count"].as_u64().unwrap(),
            free_count: info["free_pages"].as_u64().unwrap(),
            regular: checksums(regular.collect(), false),
            protected: checksums(protected.collect(), true),
        }
    }

    fn run(&self, op: &Op) {
        let alloc = |count: u64, protected| {
            let mut args = self.args("alloc", &[], protected);
            args.extend(["--count".to_owned(), count.to_string()]);
            run(args).done();
        };
        match op {
            Op::Alloc(count) => alloc(*count, false),
            Op::AllocProtected(count) => alloc(*count, true),
            Op::Free(ids) => drop(run(self.args("free", ids, false)).done()),
            Op::FreeProtected(ids) => drop(run(self.args("free", ids, true)).done()),
            Op::Write(fill) => self.write(fill.id, false, &fill.bytes()),
            Op::WriteProtected(fill) => self.write(fill.id, true, &fill.bytes()),
        }
    }

    fn write(&self, id: u64, protected: bool, bytes: &[u8]) {
        run_with(self.args("write", &[id], protected), bytes).done();
    }
}

#[test]
fn files_of_the_peer_change_hands_and_both_see_the_same() {
    for page_size in [0x400, 0x1000, 0x4000, 0x1_0000] {
        let folder = Folder::new();
        let path = folder.file("data.pages");
        back_and_forth(&path, page_size);
    }
}

fn back_and_forth(path: &Path, page_size: usize) {
    let ours = Ours {
        file: path.to_str().unwrap(),
    };
    let mut rng = Rng::new(page_size as u64);
    let mut how = How::Create;
    for round in 0..4 {
        let mut peer = in_process(how, path, page_size).unwrap();
        how = How::Open;
        for _ in 0..40 {
            let Seen {
                regular, protected, ..
            } = peer.see().unwrap();
            let op = random(&mut rng, &regular, &protected, page_size);
            peer.run(&op).unwrap();
        }
        let theirs = peer.see().unwrap();
        drop(peer);
        assert_eq!(
            ours.see(),
            theirs,
            "{page_size}-byte pages, round {round}, after the peer"
        );

        for _ in 0..12 {
            let Seen {
                regular, protected, ..
            } = ours.see();
            let op = random(&mut rng, &regular, &protected, page_size);
            ours.run(&op);
        }
        run(["check", ours.file]).done();
        let theirs = in_process(How::Open, path, page_size)
            .unwrap()
            .see()
            .unwrap();
        assert_eq!(
            theirs,
            ours.see(),
            "{page_size}-byte pages, round {round}, after us"
        );
    }
}

fn random(
    rng: &mut Rng,
    regular: &BTreeMap<u64, u32>,
    protected: &BTreeMap<u64, u32>,
    page_size: usize,
) -> Op {
    let regular: Vec<u64> = regular.keys().copied().collect();
    let protected: Vec<u64> = protected.keys().copied().collect();
    Op::random(rng, &regular, &protected, page_size, false)
}

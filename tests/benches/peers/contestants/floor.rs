//! The floor: positioned writes over a file that is there already, and one
//! sync; for reads, a copy from memory. No structure, no atomicity.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{PAGE, Records, adding, content, copying};

pub(crate) struct Floor {
    file: File,
    path: PathBuf,
    memory: Vec<u8>,
}

impl Floor {
    /// A file of `records` records.
    pub(crate) fn create(folder: &Path, records: u64) -> Self {
        let path = folder.join("floor");
        let file = File::create(&path).expect("a new file");
        // One by one: after one large write the kernel caches the file in large
        // folios, and then one record costs more than itself.
        for record in 0..records {
            let written = file.write_all_at(&content(record, 0), record * PAGE as u64);
            written.expect("the record can be written");
        }
        let floor = Self::open(path);
        floor.file.sync_all().expect("the file can be synced");
        floor
    }

    fn open(path: PathBuf) -> Self {
        let mut options = File::options();
        let file = options.read(true).write(true).open(&path);
        let memory = std::fs::read(&path).expect("the file can be read");
        Self {
            file: file.expect("the file is there"),
            path,
            memory,
        }
    }

    fn visit(&self, records: &[u64], mut f: impl FnMut(&[u8])) {
        for record in records {
            let start = *record as usize * PAGE;
            f(&self.memory[start..start + PAGE]);
        }
    }
}

impl Records for Floor {
    fn overwrite(&mut self, changes: &[(u64, &[u8])]) {
        for (record, bytes) in changes {
            let position = record * PAGE as u64;
            let done = self.file.write_all_at(bytes, position);
            done.expect("the record can be written");
        }
        self.file.sync_data().expect("the file can be synced");
    }

    fn sum(&self, records: &[u64]) -> u64 {
        let mut total = 0;
        self.visit(records, adding(&mut total));
        total
    }

    fn copy(&self, records: &[u64], buffer: &mut [u8]) {
        self.visit(records, copying(buffer));
    }

    fn reopen(self: Box<Self>) -> Box<dyn Records> {
        Box::new(Self::open(self.path))
    }
}

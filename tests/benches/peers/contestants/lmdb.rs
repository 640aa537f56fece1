//! LMDB at its default durability, through heed: one value of 4 KiB a record.
#![expect(unsafe_code, reason = "heed opens files so: others may change them")]

use std::path::{Path, PathBuf};

use heed::byteorder::BigEndian;
use heed::types::{Bytes, U64};
use heed::{Database, Env, EnvOpenOptions};

use super::{Records, adding, content, copying};

pub(crate) struct Lmdb {
    env: Env,
    database: Database<U64<BigEndian>, Bytes>,
    path: PathBuf,
}

impl Lmdb {
    /// A database of `records` records.
    pub(crate) fn create(folder: &Path, records: u64) -> Self {
        let path = folder.join("lmdb");
        std::fs::create_dir(&path).expect("a new folder");
        let mut lmdb = Self::open(path);
        let contents: Vec<_> = (0..records).map(|record| content(record, 0)).collect();
        let changes: Vec<_> = (0..).zip(contents.iter().map(Vec::as_slice)).collect();
        lmdb.overwrite(&changes);
        lmdb
    }

    fn open(path: PathBuf) -> Self {
        let mut options = EnvOpenOptions::new();
        options.map_size(256 << 20);
        // SAFETY: the folder is this process's own.
        let env = unsafe { options.open(&path) }.expect("the environment opens");
        let mut transaction = env.write_txn().expect("a transaction");
        let database = env.create_database(&mut transaction, None);
        let database = database.expect("the database opens");
        transaction.commit().expect("a commit");
        Self {
            env,
            database,
            path,
        }
    }

    fn visit(&self, records: &[u64], mut f: impl FnMut(&[u8])) {
        let transaction = self.env.read_txn().expect("a transaction");
        for record in records {
            let value = self.database.get(&transaction, record).expect("a read");
            f(value.expect("the record"));
        }
    }
}

impl Records for Lmdb {
    fn overwrite(&mut self, changes: &[(u64, &[u8])]) {
        let mut transaction = self.env.write_txn().expect("a transaction");
        for (record, bytes) in changes {
            let done = self.database.put(&mut transaction, record, bytes);
            done.expect("a change");
        }
        transaction.commit().expect("a commit");
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
        let Self { env, path, .. } = *self;
        env.prepare_for_closing().wait();
        Box::new(Self::open(path))
    }
}

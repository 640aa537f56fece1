//! redb at its default durability: one value of 4 KiB a record.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, TableDefinition};

use super::{Records, adding, content, copying};

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

pub(crate) struct Redb {
    database: Database,
    path: PathBuf,
}

impl Redb {
    /// A database of `records` records.
    pub(crate) fn create(folder: &Path, records: u64) -> Self {
        let path = folder.join("redb");
        let database = Database::create(&path).expect("a new database");
        let mut redb = Self { database, path };
        let contents: Vec<_> = (0..records).map(|record| content(record, 0)).collect();
        let changes: Vec<_> = (0..).zip(contents.iter().map(Vec::as_slice)).collect();
        redb.overwrite(&changes);
        redb
    }

    fn visit(&self, records: &[u64], mut f: impl FnMut(&[u8])) {
        let transaction = self.database.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("the table");
        for record in records {
            let value = table.get(record).expect("a read").expect("the record");
            f(value.value());
        }
    }
}

impl Records for Redb {
    fn overwrite(&mut self, changes: &[(u64, &[u8])]) {
        let transaction = self.database.begin_write().expect("a transaction");
        {
            let mut table = transaction.open_table(TABLE).expect("the table");
            for (record, bytes) in changes {
                table.insert(record, bytes).expect("an insertion");
            }
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
        let Self { database, path } = *self;
        drop(database);
        let database = Database::open(&path).expect("the database opens again");
        Box::new(Self { database, path })
    }
}

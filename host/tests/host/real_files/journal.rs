//! What the threads of a writer keep in a file, so that somebody else can tell
//! whether all of a state is there: each has two protected pages, equal, which
//! say how often it committed and which pages it owns.

use std::collections::BTreeSet;
use std::path::Path;

use pagebox::{Error, PageId, PageSize, Pager, ProtectedId, Transaction};
use pagebox_tests::rng::Rng;

use crate::engine;

pub(super) const THREADS: u64 = 6;

/// No thread owns more pages of a kind than this.
const OWNED: usize = 40;

/// What a thread's two pages say of it: how often it committed, and which pages
/// it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Journal {
    pub(super) thread: u64,
    pub(super) commits: u64,
    regular: Vec<PageId>,
    protected: Vec<ProtectedId>,
}

impl Journal {
    /// A page: the numbers, and then bytes that only these numbers have.
    fn encode(&self) -> Vec<u8> {
        let mut page = Vec::new();
        let lens = [self.regular.len() as u64, self.protected.len() as u64];
        let head = [self.thread, self.commits].into_iter().chain(lens);
        for number in head
            .chain(self.regular.iter().map(|id| id.get()))
            .chain(self.protected.iter().map(|id| id.get()))
        {
            page.extend(number.to_le_bytes());
        }
        let mut rest = vec![0; PageSize::KIB_4.bytes() - page.len()];
        Rng::new(self.thread << 48 ^ self.commits).fill(&mut rest);
        page.extend(rest);
        page
    }

    fn decode(page: &[u8]) -> Self {
        let mut numbers = page
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let mut next = || numbers.next().unwrap();
        let (thread, commits) = (next(), next());
        let lens = [next(), next()].map(|len| usize::try_from(len).unwrap().min(OWNED));
        let [regular, protected] = lens;
        let regular = (0..regular).map(|_| PageId::new(next())).collect();
        let protected = (0..protected).map(|_| ProtectedId::new(next()));
        let protected = protected.collect();
        let journal = Self {
            thread,
            commits,
            regular,
            protected,
        };
        assert!(journal.encode() == page, "a mixture of pages: {journal:?}");
        journal
    }

    /// What is in the protected pages that a thread owns.
    fn mark(&self) -> [u8; 8] {
        (self.thread + 1).to_le_bytes()
    }

    /// The ids of a thread's two pages.
    fn ids(thread: u64) -> [ProtectedId; 2] {
        [2 * thread, 2 * thread + 1].map(ProtectedId::new)
    }

    /// One more commit: allocates or frees something, and writes both pages.
    pub(super) fn step(tx: &mut Transaction<'_>, thread: u64) -> Result<u64, Error> {
        let [one, two] = Self::ids(thread);
        let mut journal = Self::decode(tx.write(one)?);
        journal.commits += 1;
        let mut rng = Rng::new(thread << 32 ^ journal.commits);
        match rng.below(5) {
            0 if journal.regular.len() + 3 <= OWNED => {
                journal.regular.extend(tx.alloc_many(3)?);
            }
            1 if journal.protected.len() < OWNED => {
                let id = tx.alloc_protected()?;
                tx.write(id)?[..8].copy_from_slice(&journal.mark());
                journal.protected.push(id);
            }
            2 if !journal.regular.is_empty() => {
                let count = journal.regular.len().min(2);
                let freed: Vec<_> = journal.regular.drain(..count).collect();
                tx.free_many(&freed)?;
            }
            3 if !journal.protected.is_empty() => {
                let at = rng.below(journal.protected.len() as u64);
                let id = journal.protected.remove(usize::try_from(at).unwrap());
                tx.free_protected(id)?;
            }
            _ => {}
        }
        let page = journal.encode();
        tx.write(one)?.copy_from_slice(&page);
        tx.write(two)?.copy_from_slice(&page);
        Ok(journal.commits)
    }
}

/// Makes a file with the pages of all threads.
pub(super) fn create(path: &Path) {
    let mut pager = engine().create(path, PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    for thread in 0..THREADS {
        let page = Journal {
            thread,
            ..Journal::default()
        }
        .encode();
        for id in Journal::ids(thread) {
            assert_eq!(tx.alloc_protected().unwrap(), id);
            tx.write(id).unwrap().copy_from_slice(&page);
        }
    }
    tx.commit().unwrap();
}

/// That every page has the owner that the journals name, and that they are of
/// one state. Returns how often each thread committed.
///
/// # Errors
/// Those of reading pages.
pub(super) fn verify(pager: &Pager) -> Result<Vec<u64>, Error> {
    let mut regular = BTreeSet::new();
    let mut protected = BTreeSet::new();
    let mut commits = Vec::new();
    let mut page = vec![0; PageSize::KIB_4.bytes()];
    for thread in 0..THREADS {
        let ids = Journal::ids(thread);
        let mut journals = Vec::new();
        for id in ids {
            pager.read_protected(id, 0, &mut page)?;
            journals.push(Journal::decode(&page));
        }
        let [one, two] = &journals[..] else {
            unreachable!()
        };
        assert_eq!(one, two, "half a commit");
        assert_eq!(one.thread, thread);
        for id in &one.protected {
            let mut mark = [0; 8];
            pager.read_protected(*id, 0, &mut mark)?;
            assert_eq!(mark, one.mark());
        }
        let owned = one.protected.iter().chain(&ids);
        assert!(owned.into_iter().all(|id| protected.insert(*id)));
        assert!(one.regular.iter().all(|page| regular.insert(*page)));
        commits.push(one.commits);
    }
    let listed: BTreeSet<_> = pager.regular_pages().collect::<Result<_, _>>()?;
    assert_eq!(listed, regular, "lost, or nobody's");
    let pages: Vec<_> = pager.protected_pages().collect::<Result<_, _>>()?;
    let listed: BTreeSet<_> = pages.iter().map(|page| page.id).collect();
    assert_eq!(listed, protected, "lost, or nobody's");
    Ok(commits)
}

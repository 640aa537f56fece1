//! [`Ahead`]: pages that were fetched before they were asked for.

use std::ops::Range;

use slatedb::bytes::Bytes;

/// Pages one after another that are read before more are fetched ahead: fewer are
/// read by chance.
const RUN: u32 = 3;

/// Bytes that are fetched ahead at first, and at most. At most 8 requests are under
/// way for them at once.
const FIRST_BYTES: u64 = 64 << 10;
const MOST_BYTES: u64 = 4 << 20;

/// What is known of reads, and the pages that were fetched ahead.
#[derive(Default)]
pub(crate) struct Ahead {
    /// The page that continues the run.
    next: u64,
    run: u32,
    /// Pages to fetch with the next request.
    window: u64,
    first: u64,
    pages: Vec<Option<Bytes>>,
}

/// How a page is to be had.
pub(crate) enum Plan {
    /// It is here; none: it is zeros.
    Here(Option<Bytes>),
    /// Ask for it.
    Ask,
    /// Ask for all of these.
    Fetch(Range<u64>),
}

impl Ahead {
    pub(crate) fn plan(&mut self, page: u64, page_size: usize, page_count: u64) -> Plan {
        self.run = if page == self.next { self.run + 1 } else { 0 };
        self.next = page.saturating_add(1);
        let index = page.checked_sub(self.first);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(found) = index.and_then(|index| self.pages.get(index)) {
            return Plan::Here(found.clone());
        }
        if self.run < RUN {
            self.window = 0;
            return Plan::Ask;
        }
        let page_size = page_size as u64;
        let (least, most) = (FIRST_BYTES / page_size, MOST_BYTES / page_size);
        self.window = (2 * self.window).clamp(least.max(1), most.max(1));
        Plan::Fetch(page..page.saturating_add(self.window).min(page_count))
    }

    pub(crate) fn keep(&mut self, first: u64, pages: Vec<Option<Bytes>>) {
        (self.first, self.pages) = (first, pages);
    }

    /// Forgets what was fetched: something was written.
    pub(crate) fn forget(&mut self) {
        self.pages.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(ahead: &mut Ahead, page: u64) -> Option<u64> {
        match ahead.plan(page, 4096, 10_000) {
            Plan::Fetch(range) => {
                let pages = range.end - range.start;
                let none = vec![None; usize::try_from(pages).unwrap_or(0)];
                ahead.keep(range.start, none);
                Some(pages)
            }
            _ => None,
        }
    }

    #[test]
    fn a_run_of_reads_fetches_more_and_more_ahead_up_to_4_mib() {
        let mut ahead = Ahead::default();
        let fetches: Vec<_> = (0..6000)
            .filter_map(|page| fetched(&mut ahead, page))
            .collect();
        assert_eq!(fetches[..7], [16, 32, 64, 128, 256, 512, 1024]);
        assert!(fetches[7..].iter().all(|&pages| pages == 1024));
    }

    #[test]
    fn reads_here_and_there_fetch_nothing_ahead() {
        let mut ahead = Ahead::default();
        for page in [5, 6, 9, 10, 3, 4, 5000, 5001, 17] {
            assert_eq!(fetched(&mut ahead, page), None, "{page}");
        }
    }

    #[test]
    fn what_was_written_since_is_asked_for_again() {
        let mut ahead = Ahead::default();
        ahead.keep(4, vec![Some(Bytes::from_static(b"old"))]);
        assert!(matches!(ahead.plan(4, 4096, 9), Plan::Here(Some(_))));
        ahead.forget();
        assert!(matches!(ahead.plan(4, 4096, 9), Plan::Ask));
    }
}

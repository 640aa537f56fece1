//! SQLite's locks, among the connections of one process. Other processes are
//! kept out by the pager's.

/// What a connection may do. Each level includes those before it. Their
/// numbers are SQLite's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    #[default]
    None,
    /// Reads.
    Shared,
    /// Means to write; others still read.
    Reserved,
    /// Waits for the readers to end; nobody begins to read, but for those that have a view.
    Pending,
    /// Writes; nobody reads, but for those that have a view.
    Exclusive,
}

/// Which connection.
pub(crate) type Id = u64;

/// Somebody else's lock is in the way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Whether those that read have a view of what they read, which no writer changes: then
/// nobody waits for them, and they for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    OnViews,
    OnPages,
}

/// The locks of one database.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// How many connections read, the one that writes included.
    readers: usize,
    /// The one that is beyond that, and how far.
    writer: Option<(Id, Level)>,
}

impl Locks {
    /// Takes a connection from one level to a higher one. If that fails on the
    /// way to `Exclusive` it may have come as far as `Pending`: `level` says.
    pub(crate) fn lock(
        &mut self,
        id: Id,
        level: &mut Level,
        wish: Level,
        readers: Readers,
    ) -> Result<(), Busy> {
        if *level >= wish {
            return Ok(());
        }
        let stay_out = readers == Readers::OnPages;
        if *level == Level::None {
            if stay_out && self.is_pending() {
                return Err(Busy);
            }
            self.readers += 1;
            *level = Level::Shared;
        }
        if wish == Level::Shared {
            return Ok(());
        }
        if self.writer.is_some_and(|(writer, _)| writer != id) {
            return Err(Busy);
        }
        *level = match wish {
            Level::Exclusive if self.readers == 1 || !stay_out => Level::Exclusive,
            Level::Exclusive => Level::Pending,
            wish => wish,
        };
        self.writer = Some((id, *level));
        if *level == wish { Ok(()) } else { Err(Busy) }
    }

    /// Takes a connection down to `Shared` or `None`.
    pub(crate) fn unlock(&mut self, id: Id, level: &mut Level, wish: Level) {
        if *level <= wish {
            return;
        }
        if self.writer.is_some_and(|(writer, _)| writer == id) {
            self.writer = None;
        }
        if wish == Level::None {
            self.readers -= 1;
        }
        *level = wish;
    }

    /// Whether somebody means to write.
    pub(crate) fn is_reserved(&self) -> bool {
        self.writer.is_some()
    }

    /// Whether somebody writes, or waits for readers to end.
    pub(crate) fn is_pending(&self) -> bool {
        let writer = self.writer;
        writer.is_some_and(|(_, level)| level >= Level::Pending)
    }

    /// Whether others read than the one who asks, and reads.
    pub(crate) fn has_other_readers(&self) -> bool {
        self.readers > 1
    }
}

#[cfg(test)]
mod tests {
    use super::Readers::{OnPages, OnViews};
    use super::*;

    #[test]
    fn writer_waits_for_readers_and_lets_no_more_in() {
        let mut locks = Locks::default();
        let (mut one, mut two, mut three) = (Level::None, Level::None, Level::None);
        assert_eq!(locks.lock(1, &mut one, Level::Shared, OnPages), Ok(()));
        assert_eq!(locks.lock(2, &mut two, Level::Shared, OnPages), Ok(()));
        assert_eq!(locks.lock(1, &mut one, Level::Reserved, OnPages), Ok(()));
        assert!(locks.is_reserved());
        assert_eq!(locks.lock(2, &mut two, Level::Reserved, OnPages), Err(Busy));
        assert_eq!(two, Level::Shared);
        assert_eq!(locks.lock(3, &mut three, Level::Shared, OnPages), Ok(()));
        locks.unlock(3, &mut three, Level::None);
        assert_eq!(
            locks.lock(1, &mut one, Level::Exclusive, OnPages),
            Err(Busy)
        );
        assert_eq!(one, Level::Pending);
        assert_eq!(locks.lock(3, &mut three, Level::Shared, OnPages), Err(Busy));
        locks.unlock(2, &mut two, Level::None);
        assert_eq!(locks.lock(1, &mut one, Level::Exclusive, OnPages), Ok(()));
        assert_eq!(locks.lock(2, &mut two, Level::Shared, OnPages), Err(Busy));
        locks.unlock(1, &mut one, Level::Shared);
        assert!(!locks.is_reserved());
        assert_eq!(locks.lock(2, &mut two, Level::Shared, OnPages), Ok(()));
    }

    /// As SQLite does before it rolls a journal back.
    #[test]
    fn lone_reader_may_write_at_once() {
        let mut locks = Locks::default();
        let (mut one, mut two) = (Level::None, Level::None);
        assert_eq!(locks.lock(1, &mut one, Level::Shared, OnPages), Ok(()));
        assert_eq!(locks.lock(1, &mut one, Level::Exclusive, OnPages), Ok(()));
        assert_eq!(locks.lock(2, &mut two, Level::Shared, OnPages), Err(Busy));
        locks.unlock(1, &mut one, Level::None);
        assert_eq!(locks.lock(2, &mut two, Level::Shared, OnPages), Ok(()));
        assert_eq!(locks.lock(2, &mut two, Level::Exclusive, OnPages), Ok(()));
    }

    #[test]
    fn readers_with_a_view_are_in_nobodys_way() {
        let mut locks = Locks::default();
        let (mut one, mut two, mut three) = (Level::None, Level::None, Level::None);
        assert_eq!(locks.lock(1, &mut one, Level::Shared, OnPages), Ok(()));
        assert_eq!(locks.lock(2, &mut two, Level::Reserved, OnPages), Ok(()));
        assert_eq!(locks.lock(2, &mut two, Level::Exclusive, OnViews), Ok(()));
        assert_eq!(locks.lock(3, &mut three, Level::Shared, OnViews), Ok(()));
        assert_eq!(
            locks.lock(3, &mut three, Level::Reserved, OnViews),
            Err(Busy)
        );
    }
}

//! Looking at a file that others may be changing: an answer counts if the state
//! of the file is afterwards what it was before.
//!
//! Which bytes decide about the state is the component's to know. Here is what
//! it has not: a clock, to wait a little before the next attempt.

use std::time::Duration;

use crate::Error;

/// How often a file is looked at that changes each time.
const ATTEMPTS: u32 = 100;
/// The longest wait between two attempts. Writers that commit in bursts get the
/// time to finish one; all waits together take less than a second.
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// What one attempt came to.
pub(crate) enum Attempt<T> {
    /// It is of one state.
    Steady(T),
    /// The file changed meanwhile.
    Changed,
}

/// Attempts something until the file holds still meanwhile.
///
/// # Errors
/// Those of `attempt`; [`Error::Busy`] if the file never did.
pub(crate) fn steadily<T>(
    mut attempt: impl FnMut() -> Result<Attempt<T>, Error>,
) -> Result<T, Error> {
    for number in 0..ATTEMPTS {
        if number > 0 {
            // No wait at first: most changes are over by now.
            std::thread::sleep(PAUSE_MAX.min(Duration::from_micros(100) * (number - 1)));
        }
        match attempt() {
            Ok(Attempt::Steady(answer)) => return Ok(answer),
            Ok(Attempt::Changed) | Err(Error::Busy | Error::Changed) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Busy)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn file_that_holds_still_in_the_end_is_looked_at_until_then() {
        let mut left = 20;
        let answer = steadily(|| {
            left -= 1;
            Ok(match left {
                0 => Attempt::Steady(7),
                _ => Attempt::Changed,
            })
        });
        assert_eq!(answer.unwrap(), 7);
    }

    #[test]
    fn file_that_never_holds_still_is_busy_after_a_number_of_attempts() {
        let mut attempts = 0;
        let answer: Result<(), _> = steadily(|| {
            attempts += 1;
            Err(Error::Changed)
        });
        assert!(matches!(answer, Err(Error::Busy)));
        assert_eq!(attempts, ATTEMPTS);
    }
}

//! The peer in a process of its own: does what standard input says, a line at a
//! time. See `pagebox_tests::peer`.

use std::io::{stdin, stdout};

fn main() -> std::io::Result<()> {
    pagebox_tests::peer::serve(stdin().lock(), stdout().lock())
}

//! `--decoder`: loading what knows the pages of a program.

use std::path::Path;
use std::time::Duration;

use pagebox::Limits;
use pagebox::decode::Decoder;

use super::Failure;

/// How long it may compute at each page. It is asked about many.
const TIME: Duration = Duration::from_secs(1);

/// Reads and compiles a decoder.
pub(crate) fn load(path: &Path) -> Result<Decoder, Failure> {
    let wasm = std::fs::read(path).map_err(Failure::reading(path))?;
    let mut limits = Limits::default();
    limits.time = TIME;
    Decoder::new(&wasm, limits).map_err(Failure::of(path))
}

//! `--decoder`: what knows the pages of the user's own program.

use std::path::Path;

use pagebox_viewer::Builder;

/// Reads and compiles a decoder for the files that are added from now on.
#[cfg(feature = "decoder")]
pub(crate) fn load(path: &Path, builder: Builder) -> Result<Builder, String> {
    use std::time::Duration;

    use pagebox::{Limits, decode::Decoder};

    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let wasm = std::fs::read(path).map_err(|error| named(&error))?;
    let mut limits = Limits::default();
    // Whoever looks at a page waits for it.
    limits.time = Duration::from_secs(1);
    let decoder = Decoder::new(&wasm, limits).map_err(|error| named(&error))?;
    Ok(builder.decoder(decoder))
}

/// Decoders are compiled when they are loaded: that takes a compiler.
#[cfg(not(feature = "decoder"))]
pub(crate) fn load(path: &Path, _: Builder) -> Result<Builder, String> {
    Err(format!(
        "{}: this pagebox-viewer was built without `decoder`: \
         `cargo install --path viewer --features decoder` builds one with it",
        path.display()
    ))
}

//! Files of any bytes, with small pages, examined in every way. Half of the
//! changes are those of the fuzzer, half of what knows the format.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use pagebox_store::PageSize;
use pagebox_tests::craft::{seal_page, seal_section};
use pagebox_tests::examine::examine;
use pagebox_tests::mutate::mutate;
use pagebox_tests::rng::Rng;
use pagebox_tests::specimens::specimens;

const SIZE: PageSize = PageSize::KIB_1;

static SPECIMENS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| specimens(SIZE));

fuzz_target!(|file: &[u8]| {
    examine(file, page_size(file));
});

/// The page size that a file says it has, where that is a small one.
fn page_size(file: &[u8]) -> PageSize {
    match file.get(8) {
        Some(11) => PageSize::from_bytes(2048).unwrap_or(SIZE),
        Some(12) => PageSize::KIB_4,
        _ => SIZE,
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut rng = Rng::new(u64::from(seed));
    let bytes = page_size(&data[..size]).bytes();
    if size < 4 * bytes || rng.chance(1, 64) {
        // From scratch no fuzzer comes upon a checksum that agrees.
        let specimen = rng.pick(&SPECIMENS);
        let len = specimen.len().min(max_size);
        data[..len].copy_from_slice(&specimen[..len]);
        return len;
    }
    if rng.chance(1, 2) {
        let mut file = data[..size].to_vec();
        mutate(&mut file, bytes, &mut rng);
        let len = file.len().min(max_size);
        data[..len].copy_from_slice(&file[..len]);
        return len;
    }
    let size = fuzzer_mutate(data, size, max_size);
    for (number, page) in data[..size].chunks_exact_mut(bytes).enumerate() {
        if number == 0 {
            seal_section(page);
        } else if rng.chance(1, 2) {
            seal_page(page);
        }
    }
    size
});

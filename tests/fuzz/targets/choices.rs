//! Files as the mutator that knows the format makes them: the input is its
//! choices, so that the fuzzer learns which of them lead somewhere new.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pagebox_store::PageSize;
use pagebox_tests::examine::examine;
use pagebox_tests::mutate::mutate;
use pagebox_tests::rng::Rng;
use pagebox_tests::specimens::specimens;

const SIZE: PageSize = PageSize::KIB_1;

static SPECIMENS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| specimens(SIZE));

fuzz_target!(|choices: &[u8]| {
    let mut rng = Rng::scripted(choices);
    let mut file = rng.pick(&SPECIMENS).clone();
    mutate(&mut file, SIZE.bytes(), &mut rng);
    examine(&file, SIZE);
});

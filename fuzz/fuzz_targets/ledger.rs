//! The readers of the ledger, given anything.

#![no_main]

#[path = "../../xtask/tests/bad_input/mutate.rs"]
#[expect(dead_code, reason = "it has the words of both languages")]
mod mutate;
#[path = "../../xtask/tests/bad_input/readers.rs"]
#[expect(dead_code, reason = "it has both readers")]
mod readers;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use mutate::{JSON, Random, mutate};

fuzz_target!(|input: &[u8]| readers::ledger(input, readers::Extent::of(input, 32)));

// Every other change is one of bytes, of which coverage tells the good ones.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 2 == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut input = data[..size].to_vec();
    mutate(&mut input, JSON, max_size, &mut Random(u64::from(seed)));
    data[..input.len()].copy_from_slice(&input);
    input.len()
});

//! The inputs that fuzzing has kept are checked in every run of the tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs::File, io::Read, panic, path::Path};

use flate2::read::GzDecoder;
use tar::Archive;

/// The inputs of a target by their names, which `cargo xtask fuzz` packs and unpacks.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fuzz/corpus/{target}.tar.gz"));
    let mut archive = Archive::new(GzDecoder::new(File::open(archive).unwrap()));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    });
    entries.collect()
}

#[test]
fn invariants_hold_for_the_kept_corpus() {
    for (target, check) in fuzzing::TARGETS {
        let inputs = inputs(target);
        assert!(inputs.len() > 10, "{target} has {} inputs", inputs.len());
        for (name, bytes) in inputs {
            assert!(panic::catch_unwind(|| check(&bytes)).is_ok(), "{target}/{name}");
        }
    }
}

#[test]
fn kept_corpus_is_smaller_than_one_mebibyte() {
    let inputs = fuzzing::TARGETS.iter().flat_map(|(target, _)| inputs(target));
    let bytes: usize = inputs.map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 1024 * 1024, "{bytes} bytes");
}

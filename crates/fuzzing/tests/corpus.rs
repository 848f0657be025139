//! What fuzzing has found once is tried in every run of the tests.

use std::{fs, panic, path::Path};

#[test]
fn what_must_hold_holds_of_the_kept_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (target, check) in fuzzing::TARGETS {
        let mut inputs: Vec<_> = fs::read_dir(corpus.join(target))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(inputs.len() > 10, "{target} has {} inputs", inputs.len());
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            assert!(
                panic::catch_unwind(|| check(&bytes)).is_ok(),
                "{}",
                input.display()
            );
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let size = |path: &Path| -> u64 {
        let entries = fs::read_dir(path).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum()
    };
    let bytes: u64 = fuzzing::TARGETS
        .iter()
        .map(|(target, _)| size(&corpus.join(target)))
        .sum();
    assert!(bytes < 1024 * 1024, "{bytes} bytes");
}

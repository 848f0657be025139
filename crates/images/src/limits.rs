//! What is promised of the project's own images, looked at before they leave.

use anyhow::{Context, Result, ensure};

use crate::Image;

/// On a node's disk, in bytes: 20 MiB.
pub(crate) const LARGEST: usize = 20 << 20;
/// The type of the part of a program that names its loader.
const PT_INTERP: u32 = 3;

/// Fails unless the image is small, its user is not root, and every program in it is static.
pub(crate) fn hold(image: &Image) -> Result<()> {
    let name = &image.reference;
    let size: usize = image.files.values().map(|file| file.content.len()).sum();
    ensure!(
        size <= LARGEST,
        "{name} has {size} bytes, more than the {LARGEST} that it may have"
    );
    ensure!(image.user != 0, "{name} would run as root");
    let programs: Vec<_> = image.files.iter().filter(|(_, file)| file.executable).collect();
    ensure!(!programs.is_empty(), "{name} has no program");
    for (path, file) in programs {
        let loaded = asks_for_a_loader(&file.content).with_context(|| format!("{path} of {name}"))?;
        ensure!(
            !loaded,
            "{path} of {name} is not static: it asks for a loader, and the image has none"
        );
    }
    Ok(())
}

/// Whether a program needs another one to bring it its libraries: whether one of its segments names such a loader.
/// Layout: <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>, of 64 bits with the smallest byte first.
fn asks_for_a_loader(program: &[u8]) -> Result<bool> {
    ensure!(
        program.get(..6) == Some(b"\x7fELF\x02\x01"),
        "no program of 64 bits for Linux"
    );
    let number = |at: usize, bytes: usize| -> Result<usize> {
        let field = program.get(at..at + bytes).context("it is cut short")?;
        let value = field
            .iter()
            .rev()
            .fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        Ok(usize::try_from(value)?)
    };
    let (table, entry, entries) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    ensure!(entries > 0, "it has no segments");
    for index in 0..entries {
        let at = index.checked_mul(entry).and_then(|at| at.checked_add(table));
        let at = at.filter(|at| *at < program.len()).context("it is cut short")?;
        if number(at, 4)? == PT_INTERP as usize {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{File, NON_ROOT};

    /// The head of a program with segments of these types.
    fn program(segments: &[u32]) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[32] = 64;
        head[54] = 56;
        head[56] = u8::try_from(segments.len()).unwrap();
        for kind in segments {
            let mut segment = vec![0; 56];
            segment[..4].copy_from_slice(&kind.to_le_bytes());
            head.extend(segment);
        }
        head
    }

    fn image(program: Vec<u8>) -> Image {
        Image {
            reference: "thing:1".into(),
            files: BTreeMap::from([("/thing".into(), File::program(program))]),
            entrypoint: vec!["/thing".into()],
            user: NON_ROOT,
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn a_static_program_is_taken_and_a_linked_one_is_not() {
        hold(&image(program(&[1, 6]))).unwrap();
        let refused = hold(&image(program(&[6, 3, 1]))).unwrap_err().to_string();
        assert!(refused.contains("not static"), "{refused}");
        for broken in [
            b"#!/bin/sh".to_vec(),
            program(&[]),
            program(&[1, 3])[..119].to_vec(),
        ] {
            assert!(hold(&image(broken)).is_err());
        }
    }

    #[test]
    fn this_machines_own_programs_are_read() {
        // Tests are linked as usual: with a loader.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(asks_for_a_loader(&own).unwrap());
    }

    #[test]
    fn a_large_image_and_one_for_root_are_refused() {
        let mut large = image(program(&[1]));
        large
            .files
            .insert("/data".into(), File::data(vec![0; LARGEST - 119]));
        assert!(hold(&large).is_err());
        let mut as_root = image(program(&[1]));
        as_root.user = 0;
        assert!(hold(&as_root).is_err());
        let mut empty = image(program(&[1]));
        empty.files.clear();
        assert!(hold(&empty).is_err());
    }
}

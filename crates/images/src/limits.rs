//! Checks of the promises about the project's images.

use anyhow::{Context, Result, ensure};

use crate::Image;

/// On a node's disk, in bytes: 20 MiB.
pub(crate) const LARGEST: usize = 20 << 20;
/// The type of the program header that names the loader.
const PT_INTERP: u32 = 3;

/// Fails unless the image is small, its user is not root, and all its programs are static.
pub(crate) fn check(image: &Image) -> Result<()> {
    let name = &image.reference;
    let size: usize = image.files.values().map(|file| file.content.len()).sum();
    ensure!(
        size <= LARGEST,
        "{name} has {size} bytes, more than the limit of {LARGEST}"
    );
    ensure!(image.user != 0, "{name} would run as root");
    let programs: Vec<_> = image.files.iter().filter(|(_, file)| file.executable).collect();
    ensure!(!programs.is_empty(), "{name} has no program");
    for (path, file) in programs {
        let dynamic = needs_loader(&file.content).with_context(|| format!("{path} of {name}"))?;
        ensure!(
            !dynamic,
            "{path} of {name} is not static: it needs a loader, which the image does not contain"
        );
    }
    Ok(())
}

/// Whether a program needs a dynamic loader: whether one of its program headers names one.
/// Layout: <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>, 64-bit, little-endian.
fn needs_loader(program: &[u8]) -> Result<bool> {
    ensure!(
        program.get(..6) == Some(b"\x7fELF\x02\x01"),
        "not a 64-bit little-endian ELF program"
    );
    let number = |at: usize, bytes: usize| -> Result<usize> {
        let field = program.get(at..at + bytes).context("it is truncated")?;
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
        let at = at.filter(|at| *at < program.len()).context("it is truncated")?;
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

    /// The headers of a program with segments of these types.
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
    fn static_program_is_accepted_and_dynamic_one_refused() {
        check(&image(program(&[1, 6]))).unwrap();
        let refused = check(&image(program(&[6, 3, 1]))).unwrap_err().to_string();
        assert!(refused.contains("not static"), "{refused}");
        for broken in [
            b"#!/bin/sh".to_vec(),
            program(&[]),
            program(&[1, 3])[..119].to_vec(),
        ] {
            assert!(check(&image(broken)).is_err());
        }
    }

    #[test]
    fn loader_is_found_in_dynamic_program() {
        // Test programs are linked dynamically.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(needs_loader(&own).unwrap());
    }

    #[test]
    fn large_image_and_root_user_are_refused() {
        let mut large = image(program(&[1]));
        large
            .files
            .insert("/data".into(), File::data(vec![0; LARGEST - 119]));
        assert!(check(&large).is_err());
        let mut as_root = image(program(&[1]));
        as_root.user = 0;
        assert!(check(&as_root).is_err());
        let mut empty = image(program(&[1]));
        empty.files.clear();
        assert!(check(&empty).is_err());
    }
}

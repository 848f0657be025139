//! The images of a run: those that are shipped, the fake arXiv, and tools.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use images::{File, Image, NON_ROOT};
use testbed::tools::progress;

/// Tools: the sandbox image of pods, and the image of the probe pods.
pub const TOOLS: &str = "tools:e2e";
/// The fake arXiv.
pub const FAKE_ARXIV: &str = "fake-arxiv:e2e";
const FAKE_ARXIV_PROGRAM: &str = "fake-arxiv";
const SLEEP: &str = "/bin/sleep";

/// Image archives for the node.
#[derive(Debug)]
pub struct TestImages {
    /// One file per image.
    pub archives: Vec<PathBuf>,
}

/// Which programs the project's images contain.
#[derive(Debug)]
pub enum Programs {
    /// The shipped ones: static and optimised, which take minutes to build the first time.
    Shipped,
    /// Those in this folder, together with this machine's C library.
    Built(PathBuf),
}

/// Writes the images of everything that pods run into `folder`. Blocks.
pub fn build(folder: &Path, programs: &Programs) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut all = match programs {
        Programs::Shipped => {
            progress::print("building images (static release programs; about ten minutes the first time)");
            let mut all = images::shipped()?;
            let programs = images::programs::build(&[("testbed", FAKE_ARXIV_PROGRAM)])?;
            all.push(images::image(FAKE_ARXIV_PROGRAM, &programs)?);
            all
        }
        Programs::Built(folder) => {
            let names = images::PROGRAMS.map(|(_, program)| program);
            let names = names.into_iter().chain([FAKE_ARXIV_PROGRAM]);
            names.map(|name| linked(name, folder)).collect::<Result<_>>()?
        }
    };
    if let Some(fake_arxiv) = all.last_mut() {
        fake_arxiv.reference = FAKE_ARXIV.into();
    }
    all.push(tools()?);
    for image in &all {
        image.write(&folder.join(file_name(&image.reference)))?;
    }
    Ok(())
}

/// An image of a program with this machine's C library.
fn linked(program: &str, folder: &Path) -> Result<Image> {
    let mut image = images::image(program, folder)?;
    add_libraries(&mut image, &folder.join(program))?;
    Ok(image)
}

/// Adds the shared libraries that a program needs, with their paths on this machine.
fn add_libraries(image: &mut Image, program: &Path) -> Result<()> {
    let output = Command::new("ldd").arg(program).output().context("ldd")?;
    ensure!(output.status.success(), "ldd fails for {}", program.display());
    for path in libraries(&String::from_utf8_lossy(&output.stdout)) {
        let content = fs::read(path).with_context(|| path.to_owned())?;
        image.files.insert(path.to_owned(), File::program(content));
    }
    Ok(())
}

/// The files in lines such as `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f169df20000)`.
fn libraries(output: &str) -> impl Iterator<Item = &str> {
    output
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

/// The archives that [`build`] has written into `folder`.
pub fn built(folder: &Path) -> Result<TestImages> {
    let shipped = images::PROGRAMS.map(|(_, program)| format!("{program}:{}", images::VERSION));
    let references = shipped.iter().map(String::as_str).chain([FAKE_ARXIV, TOOLS]);
    let archives: Vec<PathBuf> = references
        .map(|reference| folder.join(file_name(reference)))
        .collect();
    for archive in &archives {
        ensure!(archive.is_file(), "{} does not exist", archive.display());
    }
    Ok(TestImages { archives })
}

fn file_name(reference: &str) -> String {
    format!("{}.tar", reference.replace(':', "-"))
}

/// The programs that the probe pods call, and `sleep`, which is enough to hold a pod's network namespace.
fn tools() -> Result<Image> {
    let mut image = Image {
        reference: TOOLS.into(),
        files: BTreeMap::new(),
        entrypoint: vec![SLEEP.into(), "infinity".into()],
        user: NON_ROOT,
        labels: BTreeMap::new(),
    };
    for program in ["/bin/sh", "/bin/bash", "/bin/grep", SLEEP, "/usr/bin/timeout"] {
        let content = fs::read(program).with_context(|| program.to_owned())?;
        image.files.insert(program.to_owned(), File::program(content));
        add_libraries(&mut image, Path::new(program))?;
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::libraries;

    #[test]
    fn libraries_are_found_with_and_without_arrow() {
        let output = "\tlinux-vdso.so.1 (0x00007f169feb1000)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f169df20000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f169feb3000)\n";
        let found: Vec<&str> = libraries(output).collect();
        assert_eq!(
            found,
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
    }
}

//! The images of a run: what is shipped, and what stands in for the rest of the world.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use images::{File, Image, NON_ROOT};
use testbed::tools::progress;

/// Also the sandbox of pods, the image of `helm test`, and what asks whether policies let it through.
pub const TOOLS: &str = "tools:e2e";
/// The stand-in arXiv.
pub const FAKE_ARXIV: &str = "fake-arxiv:e2e";
const FAKE_ARXIV_PROGRAM: &str = "fake-arxiv";
const SLEEP: &str = "/bin/sleep";

/// Archives to be brought to the node.
#[derive(Debug)]
pub struct Parts {
    /// One file an image.
    pub archives: Vec<PathBuf>,
    /// Of these, the one that holds a pod's network.
    pub sandbox: PathBuf,
}

/// What the project's images hold.
#[derive(Debug)]
pub enum Programs {
    /// What is shipped: static and optimised, which takes minutes to build the first time.
    Shipped,
    /// What is in this folder already, with this machine's C library beside it.
    Built(PathBuf),
}

/// Makes an image of everything that pods run, in `folder`. Blocks.
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

/// Adds the shared libraries that a program asks for, each where it is on this machine.
fn add_libraries(image: &mut Image, program: &Path) -> Result<()> {
    let output = Command::new("ldd").arg(program).output().context("ldd")?;
    ensure!(output.status.success(), "ldd does not know {}", program.display());
    for path in libraries(&String::from_utf8_lossy(&output.stdout)) {
        let content = fs::read(path).with_context(|| path.to_owned())?;
        image.files.insert(path.to_owned(), File::program(content));
    }
    Ok(())
}

/// The files in lines such as `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f169df20000)`.
fn libraries(told: &str) -> impl Iterator<Item = &str> {
    told.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

/// What [`build`] has left in `folder`.
pub fn built(folder: &Path) -> Result<Parts> {
    let shipped = images::PROGRAMS.map(|(_, program)| format!("{program}:{}", images::VERSION));
    let references = shipped.iter().map(String::as_str).chain([FAKE_ARXIV, TOOLS]);
    let archives: Vec<PathBuf> = references
        .map(|reference| folder.join(file_name(reference)))
        .collect();
    for archive in &archives {
        ensure!(archive.is_file(), "{} is not there", archive.display());
    }
    Ok(Parts {
        archives,
        sandbox: folder.join(file_name(TOOLS)),
    })
}

fn file_name(reference: &str) -> String {
    format!("{}.tar", reference.replace(':', "-"))
}

/// What `helm test` and the trial of the policies call, and a sleep, which is all that it takes to hold a pod's network.
fn tools() -> Result<Image> {
    let mut image = Image {
        reference: TOOLS.into(),
        files: BTreeMap::new(),
        entrypoint: vec![SLEEP.into(), "infinity".into()],
        user: NON_ROOT,
        labels: BTreeMap::new(),
    };
    for program in [
        "/bin/sh",
        "/bin/bash",
        "/bin/grep",
        SLEEP,
        "/usr/bin/timeout",
        "/usr/bin/wget",
    ] {
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
    fn libraries_are_told_with_and_without_an_arrow() {
        let told = "\tlinux-vdso.so.1 (0x00007f169feb1000)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f169df20000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f169feb3000)\n";
        let found: Vec<&str> = libraries(told).collect();
        assert_eq!(
            found,
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
    }
}

//! Entries as the programs read them that people use: BibTeX, pybtex, bibtexparser, Citation.js, citeproc, rispy.
#![allow(clippy::unwrap_used, clippy::panic)]

mod corpus;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use citations::Options;
use serde_json::Value;
use testbed::{TempDir, process::Spec, tools::packages};

/// For one program on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);
const COUNT: usize = 500;

/// The papers in every format, in files.
fn written() -> (TempDir, Vec<Value>) {
    let folder = TempDir::new("citations").unwrap();
    let papers = corpus::papers(COUNT);
    let options = Options::default();
    let join = |write: fn(&paper::PaperVersion, Options) -> String| -> String {
        papers.iter().map(|(paper, _)| write(paper, options)).collect()
    };
    let items: Vec<_> = papers
        .iter()
        .map(|(paper, _)| citations::csl_json(paper, options))
        .collect();
    let mut facts: Vec<_> = papers.iter().map(|(_, facts)| facts.clone()).collect();
    for (facts, item) in facts.iter_mut().zip(&items) {
        facts["key"] = item["id"].clone();
    }
    for (name, text) in [
        ("papers.bib", join(citations::bibtex)),
        ("papers.ris", join(citations::ris)),
        ("papers.json", serde_json::to_string(&items).unwrap()),
        ("facts.json", serde_json::to_string(&facts).unwrap()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    (folder, facts)
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs")
}

#[tokio::test]
async fn bibtex_processes_every_entry_in_two_styles_without_a_warning() {
    let packages = ["libkpathsea6", "texlive-base", "texlive-binaries"];
    let unpack = move || packages::unpacked("debian-bibtex", &packages).unwrap();
    let root = tokio::task::spawn_blocking(unpack).await.unwrap();
    let texmf = root.join("usr/share/texlive/texmf-dist");
    let libraries = fs::read_dir(root.join("usr/lib"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("libkpathsea.so.6").exists())
        .unwrap();
    let (folder, facts) = written();
    for style in ["plain", "alpha"] {
        let aux = format!("\\bibstyle{{{style}}}\n\\citation{{*}}\n\\bibdata{{papers}}\n");
        let file = |extension: &str| folder.path().join(format!("{style}.{extension}"));
        fs::write(file("aux"), aux).unwrap();
        Spec::new(root.join("usr/bin/bibtex.original"), file("log"))
            .current_dir(folder.path())
            .env("LD_LIBRARY_PATH", &libraries)
            .env("TEXMFCNF", texmf.join("web2c"))
            .env("BSTINPUTS", texmf.join("bibtex/bst/base"))
            .env("BIBINPUTS", folder.path())
            .arg(style)
            .run(LIMIT)
            .await
            .unwrap();
        let report = fs::read_to_string(file("blg")).unwrap();
        // The statistics at its end name the function `warning$`.
        let is_silent = !report.contains("Warning--") && !report.contains("error message");
        assert!(
            is_silent && report.contains("used 500 entries"),
            "{style}: {report}"
        );
        let list = fs::read(file("bbl")).unwrap();
        let list = String::from_utf8_lossy(&list);
        assert_eq!(list.matches("\\bibitem").count(), COUNT, "{style}");
        for paper in &facts {
            let key = paper["key"].as_str().unwrap();
            assert!(list.contains(&format!("{{{key}}}")), "{style} lacks {key}");
        }
    }
}

#[tokio::test]
async fn python_reads_back_what_each_paper_is() {
    let install = || packages::python("python-citations", include_str!("requirements.txt")).unwrap();
    let bin = tokio::task::spawn_blocking(install).await.unwrap();
    let (folder, _) = written();
    Spec::new(bin.join("python"), folder.path().join("python.log"))
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(here().join("read_back.py"))
        .run(LIMIT)
        .await
        .unwrap();
}

#[tokio::test]
async fn node_reads_back_what_each_paper_is_and_cites_it_in_three_styles() {
    let install = || {
        let modules = packages::node_modules(
            "node-citations",
            include_str!("package.json"),
            include_str!("package-lock.json"),
        );
        (packages::node().unwrap(), modules.unwrap())
    };
    let (node, modules) = tokio::task::spawn_blocking(install).await.unwrap();
    let (folder, _) = written();
    Spec::new(node, folder.path().join("node.log"))
        .current_dir(folder.path())
        .env("NODE_MODULES", &modules)
        .arg(here().join("read_back.mjs"))
        .run(LIMIT)
        .await
        .unwrap();
}

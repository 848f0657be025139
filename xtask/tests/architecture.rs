//! `docs/ARCHITECTURE.md` against the tree: its maps of modules, its layers, and the size of folders.
//!
//! The maps are written from the first sentence of each module's documentation:
//! `ARCHITECTURE_UPDATE=1 cargo test -p xtask --test architecture` writes them again.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
};

const PAGE: &str = "docs/ARCHITECTURE.md";
/// The longest line of a page.
const WIDTH: usize = 120;
/// A folder with more entries than this answers more than one question.
const MAX_ENTRIES: usize = 12;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The entries of a folder in the order of their names, folders first; without tests and what is not Rust.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_module = path.extension().is_some_and(|extension| extension == "rs");
            (is_module && !["mod.rs", "tests.rs"].contains(&name)) || is_folder_of_modules(path)
        })
        .collect();
    entries.sort_by_key(|path| (path.is_file(), path.clone()));
    entries
}

/// Whether this is a folder with modules that are not only tests.
fn is_folder_of_modules(path: &Path) -> bool {
    path.is_dir() && (path.join("mod.rs").exists() || !entries(path).is_empty())
}

/// The first sentence of a module's documentation.
fn summary(module: &Path) -> String {
    let text = fs::read_to_string(module).unwrap_or_else(|error| panic!("{}: {error}", module.display()));
    let doc: Vec<_> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let doc = doc.join(" ").replace("[`", "`").replace("`]", "`");
    assert!(!doc.is_empty(), "{} has no documentation", module.display());
    match doc.find(". ") {
        Some(end) => doc.get(..=end).unwrap().to_owned(),
        None => doc,
    }
}

/// The lines of a list item, wrapped.
fn item(depth: usize, text: &str) -> Vec<String> {
    let indent = "  ".repeat(depth);
    let mut lines = vec![format!("{indent}-")];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{indent}  {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines
}

/// A nested list of the modules below a folder.
fn map(folder: &Path, depth: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for path in entries(folder) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() {
            let inside = path.join("mod.rs");
            let module = if inside.exists() {
                inside
            } else {
                path.with_extension("rs")
            };
            lines.extend(item(depth, &format!("`{name}/`: {}", summary(&module))));
            lines.extend(map(&path, depth + 1));
        } else if !is_folder_of_modules(&path.with_extension("")) {
            lines.extend(item(depth, &format!("`{name}`: {}", summary(&path))));
        }
    }
    lines
}

fn markers(package: &str) -> (String, String) {
    (
        format!("<!-- map of {package}, written by xtask/tests/architecture.rs -->"),
        format!("<!-- end of the map of {package} -->"),
    )
}

#[test]
fn maps_equal_the_tree() {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    let mut written = page.clone();
    for package in ["api-server", "operator"] {
        let (begin, end) = markers(package);
        let (before, rest) = written
            .split_once(&begin)
            .unwrap_or_else(|| panic!("{PAGE} lacks {begin}"));
        let (_, after) = rest
            .split_once(&end)
            .unwrap_or_else(|| panic!("{PAGE} lacks {end}"));
        let lines = map(&root().join(package).join("src"), 0).join("\n");
        written = format!("{before}{begin}\n\n{lines}\n\n{end}{after}");
    }
    if std::env::var_os("ARCHITECTURE_UPDATE").is_some() {
        fs::write(&path, &written).unwrap();
        return;
    }
    let differing = page
        .lines()
        .zip(written.lines())
        .find(|(is, should)| is != should);
    assert!(
        page == written,
        "{PAGE} differs from the tree, first at {differing:?}; write it again with \
         `ARCHITECTURE_UPDATE=1 cargo test -p xtask --test architecture`"
    );
}

/// The layers of a package, from low to high, as the page names them.
fn layers(page: &str, package: &str) -> Vec<String> {
    let begin = format!("Layers of `{package}`, from low to high: ");
    let (_, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{PAGE} lacks {begin:?}"));
    let (list, _) = rest.split_once('.').unwrap();
    list.split(',')
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect()
}

/// All source files below a path.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let below = entries.flat_map(|entry| sources(&entry.unwrap().path()));
    below
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The modules of the crate's root that a source file names, outside of its comments and tests.
fn imports<'l>(text: &str, layers: &'l [String]) -> Vec<&'l str> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: Vec<_> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let mut grouped = String::new();
    for group in code.split("crate::{").skip(1) {
        let mut depth = 1;
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ if depth == 1 => grouped.push(c),
                _ => {}
            }
            if depth == 0 {
                grouped.push(',');
                break;
            }
        }
    }
    let grouped: Vec<_> = grouped.split(',').map(str::trim).collect();
    let is_named = |layer: &str| {
        let single = format!("crate::{layer}::");
        code.contains(&single)
            || code.contains(&format!("crate::{layer};"))
            || grouped.iter().any(|path| path.split("::").next() == Some(layer))
    };
    layers
        .iter()
        .map(String::as_str)
        .filter(|layer| is_named(layer))
        .collect()
}

#[test]
fn layers_import_only_from_below() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let mut wrong = Vec::new();
    for package in ["api-server", "operator"] {
        let layers = layers(&page, package);
        let folder = root().join(package).join("src");
        for path in entries(&folder) {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(
                ["lib", "main"].contains(&name) || layers.iter().any(|layer| layer == name),
                "{package}/src/{name} is not among the layers in {PAGE}"
            );
        }
        for (height, layer) in layers.iter().enumerate() {
            let mut files = sources(&folder.join(layer));
            files.extend(sources(&folder.join(layer).with_extension("rs")));
            files.retain(|file| !file.ends_with("tests.rs"));
            assert!(
                !files.is_empty(),
                "{package} has no layer {layer}, which {PAGE} names"
            );
            for file in files {
                let text = fs::read_to_string(&file).unwrap();
                let higher = layers.get(height + 1..).unwrap();
                for import in imports(&text, higher) {
                    let file = file.strip_prefix(&folder).unwrap().display().to_string();
                    wrong.push(format!("{package}: {file} imports {import}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports from a higher layer:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn folders_have_at_most_a_dozen_entries() {
    let mut packages = vec!["api-server".to_owned(), "operator".to_owned(), "xtask".to_owned()];
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        packages.push(format!("crates/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    let mut large = Vec::new();
    for package in packages {
        let mut folders = vec![root().join(&package).join("src")];
        while let Some(folder) = folders.pop() {
            let entries = entries(&folder);
            folders.extend(entries.iter().filter(|path| path.is_dir()).cloned());
            let folder = folder.strip_prefix(root()).unwrap().display().to_string();
            if entries.len() > MAX_ENTRIES {
                large.push(format!("{folder} has {}", entries.len()));
            }
        }
    }
    assert!(
        large.is_empty(),
        "more than {MAX_ENTRIES} entries:\n{}",
        large.join("\n")
    );
}

#[test]
fn lines_of_pages_are_short() {
    let mut long = Vec::new();
    let mut folders = vec![
        root().join("docs"),
        root().join("docs/adr"),
        root().join("docs/runbooks"),
    ];
    folders.push(root());
    for folder in folders {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let mut fenced = false;
            for (number, line) in text.lines().enumerate() {
                fenced ^= line.trim_start().starts_with("```");
                // A table's row and a command cannot be wrapped.
                let wraps = !fenced && !line.starts_with('|');
                if wraps && line.chars().count() > WIDTH && line.trim().contains(' ') {
                    long.push(format!(
                        "{}:{}",
                        path.strip_prefix(root()).unwrap().display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(
        long.is_empty(),
        "lines over {WIDTH} characters:\n{}",
        long.join("\n")
    );
}

#[test]
fn paths_in_the_page_exist() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let is_path = |text: &&str| text.contains('/') && text.contains(".rs") && !text.contains(['{', ' ', '…']);
    let missing: Vec<_> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(is_path)
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(
        missing.is_empty(),
        "{PAGE} names what does not exist: {missing:?}"
    );
}

#[test]
fn imports_are_found_in_groups_and_paths() {
    let layers: Vec<_> = ["a", "b", "c", "d"].map(str::to_owned).into();
    for (text, expected) in [
        ("use crate::{a::{x, c}, b};", vec!["a", "b"]),
        ("use crate::a;\nfn f() { crate::d::g() }", vec!["a", "d"]),
        ("// crate::a::x\nuse super::b;", vec![]),
        ("#[cfg(test)]\nmod tests { use crate::a::x; }", vec![]),
        ("use crate::{\n    a::x,\n    c::{y, z},\n};", vec!["a", "c"]),
    ] {
        assert_eq!(imports(text, &layers), expected, "{text}");
    }
}

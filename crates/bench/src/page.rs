//! The tables of `docs/performance.md`: written from the figures that were measured last, which are kept in `figures/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::figures::{Figure, json, markdown};
use crate::growth::{self, Series};

const PAGE: &str = "docs/performance.md";
const FOLDER: &str = "crates/bench/figures";
/// Of [`crate::growth`].
const SERIES: &str = "crates/bench/figures/growth.json";
const CHART: &str = "docs/performance.png";
/// How the names of the figures of [`crate::searches`] begin that say what one search costs.
const COST: &str = "a search: ";
/// And those that say what one costs that has waited with many others.
const BACKLOG: &str = "a search of a backlog: ";

/// A table: its name on the page, the name of its file, and which of the file's figures it has.
type Table = (&'static str, &'static str, fn(&Figure) -> bool);

const TABLES: [Table; 5] = [
    ("speed", "speed", |_| true),
    ("searches", "searches", |figure| {
        !figure.name.starts_with(COST) && !figure.name.starts_with(BACKLOG)
    }),
    ("cost", "searches", |figure| figure.name.starts_with(COST)),
    ("backlog", "searches", |figure| figure.name.starts_with(BACKLOG)),
    ("memory", "memory", |_| true),
];

/// Keeps figures in the file of this name, in the place of those with the same names. `root`: the folder of the project.
pub fn keep(root: &Path, name: &str, figures: &[Figure]) -> Result<()> {
    let mut kept = kept(root, name)?;
    for figure in figures {
        let figure = precise_enough(figure);
        match kept.iter_mut().find(|kept| kept.name == figure.name) {
            Some(kept) => *kept = figure,
            None => kept.push(figure),
        }
    }
    let file = file(root, name);
    fs::create_dir_all(root.join(FOLDER))?;
    fs::write(&file, json(&kept)? + "\n").with_context(|| format!("cannot write {}", file.display()))
}

/// Keeps how figures change, and draws their chart. Blocks.
pub fn keep_growth(root: &Path, series: &[Series]) -> Result<()> {
    fs::create_dir_all(root.join(FOLDER))?;
    fs::write(root.join(SERIES), serde_json::to_string_pretty(series)? + "\n")?;
    growth::draw(&root.join(SERIES), &root.join(CHART))
}

/// Writes the tables of the page from the figures that are kept.
pub fn write(root: &Path) -> Result<()> {
    let page = root.join(PAGE);
    let text = fs::read_to_string(&page)?;
    Ok(fs::write(page, with_tables(root, &text)?)?)
}

fn file(root: &Path, name: &str) -> PathBuf {
    root.join(FOLDER).join(format!("{name}.json"))
}

fn kept(root: &Path, name: &str) -> Result<Vec<Figure>> {
    let file = file(root, name);
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&file)?;
    serde_json::from_str(&text).with_context(|| format!("{} has no figures", file.display()))
}

/// The page with today's tables.
fn with_tables(root: &Path, page: &str) -> Result<String> {
    let mut page = page.to_owned();
    for (name, file, is_in) in TABLES {
        let begin = format!("<!-- figures of {name}, written by `cargo xtask bench --write` -->");
        let end = format!("<!-- end of the figures of {name} -->");
        let (before, rest) = page
            .split_once(&begin)
            .with_context(|| format!("{PAGE} lacks {begin:?}"))?;
        let (_, after) = rest
            .split_once(&end)
            .with_context(|| format!("{PAGE} lacks {end:?}"))?;
        let figures = kept(root, file)?;
        let figures: Vec<&Figure> = figures.iter().filter(|figure| is_in(figure)).collect();
        page = format!("{before}{begin}\n\n{}\n\n{end}{after}", markdown(&figures));
    }
    Ok(page)
}

/// With four digits: the spread is far greater.
fn precise_enough(figure: &Figure) -> Figure {
    let round = |values: &[f64]| values.iter().copied().map(four_digits).collect();
    Figure {
        measured: round(&figure.measured),
        bound: round(&figure.bound),
        ..figure.clone()
    }
}

fn four_digits(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use testbed::TempDir;

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn page_has_the_figures_that_are_kept() {
        let page = fs::read_to_string(root().join(PAGE)).unwrap();
        assert!(
            page == with_tables(&root(), &page).unwrap(),
            "{PAGE} differs from {FOLDER}: run `cargo xtask bench page`"
        );
    }

    #[test]
    fn figure_is_kept_in_the_place_of_the_one_with_its_name_and_is_on_the_page() {
        let temp_dir = TempDir::new("bench-page").unwrap();
        let root = temp_dir.path();
        let figure = |name: &str, value: f64| Figure::new(name, "/s", None).measured(value);
        keep(root, "speed", &[figure("a", 1.0), figure("b", 2.0)]).unwrap();
        keep(root, "speed", &[figure("c", 1234.5678), figure("a", 0.0)]).unwrap();
        let expected = [figure("a", 0.0), figure("b", 2.0), figure("c", 1235.0)];
        assert_eq!(kept(root, "speed").unwrap(), expected);
        keep(
            root,
            "searches",
            &[figure("a search: CPU", 3.0), figure("drain", 4.0)],
        )
        .unwrap();

        fs::create_dir(root.join("docs")).unwrap();
        let tables = TABLES.map(|(name, ..)| {
            format!(
                "# {name}\n<!-- figures of {name}, written by `cargo xtask bench --write` -->old<!-- end of the figures of {name} -->\n"
            )
        });
        fs::write(root.join(PAGE), tables.concat()).unwrap();
        write(root).unwrap();
        let page = fs::read_to_string(root.join(PAGE)).unwrap();
        assert!(
            !page.contains("old") && page.contains("| c | 1235 /s | - | - | - |"),
            "{page}"
        );
        let (searches, cost) = page.split_once("# cost").unwrap();
        assert!(
            searches.contains("| drain | 4.0 /s") && cost.contains("| a search: CPU | 3.0 /s"),
            "{page}"
        );
        assert!(
            !searches.contains("a search:") && !cost.contains("drain"),
            "{page}"
        );
    }
}

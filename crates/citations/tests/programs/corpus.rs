//! Papers as arXiv has them, with all that is difficult, and what each of them is: known from its parts, not from what the
//! crate makes of it.

use paper::{Author, PaperId, PaperVersion};
use serde_json::{Value, json};

/// An author as arXiv writes the name, and its parts: given, particle, family, suffix.
const PEOPLE: [(&str, [&str; 4]); 34] = [
    ("Ashish Vaswani", ["Ashish", "", "Vaswani", ""]),
    ("R. Aaij", ["R.", "", "Aaij", ""]),
    ("Paul Erdős", ["Paul", "", "Erdős", ""]),
    (r"Alfr\'ed R\'enyi", ["Alfréd", "", "Rényi", ""]),
    (r#"Kurt G\"odel"#, ["Kurt", "", "Gödel", ""]),
    ("Eduard Čech", ["Eduard", "", "Čech", ""]),
    ("Øystein Ore", ["Øystein", "", "Ore", ""]),
    ("Stanisław Łojasiewicz", ["Stanisław", "", "Łojasiewicz", ""]),
    ("Émile Picard", ["Émile", "", "Picard", ""]),
    ("Anders Jonas Ångström", ["Anders Jonas", "", "Ångström", ""]),
    ("Nguyễn Văn Hiệu", ["Nguyễn Văn", "", "Hiệu", ""]),
    ("Cahit Arf", ["Cahit", "", "Arf", ""]),
    ("Şahin Gürsoy", ["Şahin", "", "Gürsoy", ""]),
    ("A. A. Alves Jr.", ["A. A.", "", "Alves", "Jr."]),
    ("A. A. Alves, Jr.", ["A. A.", "", "Alves", "Jr."]),
    ("John Smith III", ["John", "", "Smith", "III"]),
    ("William Jones, Sr", ["William", "", "Jones", "Sr"]),
    ("Johannes van der Waals", ["Johannes", "van der", "Waals", ""]),
    ("Ludwig van Beethoven", ["Ludwig", "van", "Beethoven", ""]),
    (
        "Charles de la Vallée Poussin",
        ["Charles", "de la", "Vallée Poussin", ""],
    ),
    ("G. 't Hooft", ["G.", "'t", "Hooft", ""]),
    ("Guy Van den Broeck", ["Guy", "", "Van den Broeck", ""]),
    ("J. C. Le Guillou", ["J. C.", "", "Le Guillou", ""]),
    ("José Ortega y Gasset", ["José", "", "Ortega y Gasset", ""]),
    ("Luiz da Silva Filho", ["Luiz", "da", "Silva Filho", ""]),
    ("Jean d'Alembert", ["Jean", "", "d'Alembert", ""]),
    ("Flann O'Brien", ["Flann", "", "O'Brien", ""]),
    ("Jean-Pierre Serre", ["Jean-Pierre", "", "Serre", ""]),
    ("Xiao-Gang Wen", ["Xiao-Gang", "", "Wen", ""]),
    ("Yann LeCun", ["Yann", "", "LeCun", ""]),
    ("Иван Петров", ["Иван", "", "Петров", ""]),
    ("Γιώργος Παπαδόπουλος", ["Γιώργος", "", "Παπαδόπουλος", ""]),
    ("毛 泽东", ["泽东", "", "毛", ""]),
    ("김 철수", ["철수", "", "김", ""]),
];

/// Names that stay whole: as arXiv writes them, and as they are.
const WHOLE: [(&str, &str); 15] = [
    ("LHCb Collaboration", "LHCb Collaboration"),
    ("The ATLAS Collaboration", "The ATLAS Collaboration"),
    ("ATLAS and CMS Collaborations", "ATLAS and CMS Collaborations"),
    ("for the ALICE Collaboration", "ALICE Collaboration"),
    ("on behalf of the H1 Collaboration", "H1 Collaboration"),
    ("(for the CDF Collaboration)", "CDF Collaboration"),
    ("Pierre Auger collaboration", "Pierre Auger collaboration"),
    ("Particle Data Group", "Particle Data Group"),
    ("Gemini Team", "Gemini Team"),
    ("on behalf of ALICE", "ALICE"),
    ("OpenAI", "OpenAI"),
    ("The DØ Collaboration", "The DØ Collaboration"),
    ("R&D50 Collaboration", "R&D50 Collaboration"),
    ("Senthilkumar V.", "Senthilkumar V."),
    ("毛泽东", "毛泽东"),
];

/// Titles as arXiv has them, and without TeX.
const TITLES: [(&str, &str); 26] = [
    ("Attention Is All You Need", "Attention Is All You Need"),
    ("Sorting in $O(n^2)$ Time", "Sorting in $O(n^2)$ Time"),
    (r"On the Erd\H{o}s-R\'enyi model", "On the Erdős-Rényi model"),
    (r#"G\"odel's {\it first} theorem"#, "Gödel's first theorem"),
    (
        r"Measurement of $\sqrt{s} = 13\,\mathrm{TeV}$ $pp$ collisions",
        r"Measurement of $\sqrt{s} = 13\,\mathrm{TeV}$ $pp$ collisions",
    ),
    (r"The set $\{1, \dots, n\}$", r"The set $\{1, \dots, n\}$"),
    (r"R\&D for 100\% of \$5 prizes", "R&D for 100% of $5 prizes"),
    (
        "R&D for 100% of #1 under_scores",
        "R&D for 100% of #1 under_scores",
    ),
    ("Costs $5 only", "Costs $5 only"),
    ("Unbalanced {brace", "Unbalanced brace"),
    ("Unbalanced brace}", "Unbalanced brace"),
    (r"Open set $\{x$ of points", r"Open set $\{x$ of points"),
    (r"An \unknown command", r"An \unknown command"),
    (r"\input{passwd} attack", r"\inputpasswd attack"),
    (r"A backslash \", r"A backslash \"),
    (
        r"$\mathbb{Z}_2$-graded algebras",
        r"$\mathbb{Z}_2$-graded algebras",
    ),
    (r"{LHC} results at {\bf CERN}", "LHC results at CERN"),
    ("\"Quoted\" words, and commas", "\"Quoted\" words, and commas"),
    ("Über Größen in der Mathematik", "Über Größen in der Mathematik"),
    ("О задаче Ферма", "О задаче Ферма"),
    ("关于数论的一个问题", "关于数论的一个问题"),
    (
        r#"\v{C}ech cohomology of na\"{\i}ve sets"#,
        "Čech cohomology of naïve sets",
    ),
    (
        "A note @ home: title, with = and \"",
        "A note @ home: title, with = and \"",
    ),
    ("$x", "$x"),
    (r"Maps $x \mapsto {a \over b}$", r"Maps $x \mapsto {a \over b}$"),
    ("For US$5-$10 a day", "For US$5-$10 a day"),
];

/// Journal references, and journal, volume, issue, pages, year; without a volume it is a note.
const REFERENCES: [(&str, [&str; 5]); 20] = [
    (
        "Phys. Rev. D 76, 013009 (2007)",
        ["Phys. Rev. D", "76", "", "013009", "2007"],
    ),
    (
        "Phys.Rev.D76:013009,2007",
        ["Phys.Rev. D", "76", "", "013009", "2007"],
    ),
    (
        "Nucl.Phys. B123 (1977) 1-10",
        ["Nucl.Phys. B", "123", "", "1-10", "1977"],
    ),
    ("JHEP 0905:034,2009", ["JHEP", "0905", "", "034", "2009"]),
    ("JHEP 05 (2009) 034", ["JHEP", "05", "", "034", "2009"]),
    (
        "Astrophys. J. 456, 123-130 (1996)",
        ["Astrophys. J.", "456", "", "123-130", "1996"],
    ),
    (
        "Commun. Math. Phys. 123 (1989), no. 4, 521-540",
        ["Commun. Math. Phys.", "123", "4", "521-540", "1989"],
    ),
    (
        "Physical Review Letters 120 (13), 136801 (2018)",
        ["Physical Review Letters", "120", "13", "136801", "2018"],
    ),
    (
        "Amer. Math. Monthly 99 (1992)",
        ["Amer. Math. Monthly", "99", "", "", "1992"],
    ),
    (
        "Eur. Phys. J. C (2012) 72:2042",
        ["Eur. Phys. J. C", "72", "", "2042", "2012"],
    ),
    ("Entropy 2018, 20(4), 265", ["Entropy", "20", "4", "265", "2018"]),
    (
        "IEEE Transactions on Information Theory, vol. 52, no. 4, pp. 1289-1306, 2006",
        [
            "IEEE Transactions on Information Theory",
            "52",
            "4",
            "1289-1306",
            "2006",
        ],
    ),
    (
        "Astronomy & Astrophysics 601, A29 (2017)",
        ["Astronomy & Astrophysics", "601", "", "A29", "2017"],
    ),
    ("to appear in J. Algebra", ["", "", "", "", ""]),
    ("Accepted by Phys. Rev. D, 2007", ["", "", "", "", "2007"]),
    (
        "Proceedings of the 34th ICML, PMLR 70, 2017",
        ["", "", "", "", "2017"],
    ),
    (
        "Lecture Notes in Physics 12 & 13, Springer 1999",
        ["", "", "", "", "1999"],
    ),
    ("Nature 100% {special", ["", "", "", "", ""]),
    ("Ph.D. thesis, MIT, 1999, revised 2001", ["", "", "", "", ""]),
    ("J. Number Theory", ["", "", "", "", ""]),
];

const ABSTRACTS: [&str; 4] = [
    "We show that $x_1 \\le \\alpha^2$ holds.",
    "We improve by 5% on {all data & more; see http://example.org/~a_b#c.",
    "Two lines\nof text with \"quotes\" and @misc{x, y}.",
    "",
];

/// The papers with their facts.
pub(crate) fn papers(count: usize) -> Vec<(PaperVersion, Value)> {
    let mut random = Random(42);
    (0..count).map(|n| paper(n, &mut random)).collect()
}

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

fn paper(n: usize, random: &mut Random) -> (PaperVersion, Value) {
    let (names, authors) = authors(random);
    let (title, plain) = random.one_of(&TITLES);
    let number = format!("{:05}", n + 1);
    let (id, submitted) = match random.below(3) {
        0 => (format!("hep-ex/0307{n:03}"), [2003, 7]),
        1 => (format!("0704.{n:04}"), [2007, 4]),
        _ => (format!("2405.{number}"), [2024, 5]),
    };
    let is_dated = random.below(2) == 0;
    let reference = (random.below(3) > 0).then(|| random.one_of(&REFERENCES));
    let doi = (random.below(2) == 0).then(|| format!("10.1103/PhysRevD.{n}.a_b(c)<d>"));
    let [journal, volume, issue, pages, year] = reference.map(|(_, parts)| parts).unwrap_or_default();
    let year = if year.is_empty() {
        submitted[0].to_string()
    } else {
        year.to_owned()
    };
    let facts = json!({
        "id": id, "authors": authors, "title": plain, "tex": title, "year": year,
        "is_article": !journal.is_empty(), "journal": journal, "volume": volume, "issue": issue, "pages": pages,
        "note": reference.filter(|_| journal.is_empty()).map_or("", |(text, _)| text),
        "doi": doi.clone().unwrap_or_default(),
    });
    let paper = PaperVersion {
        id: PaperId::of_entry(&format!("http://arxiv.org/abs/{id}v{}", 1 + random.below(3))),
        title: title.to_owned(),
        authors: names
            .into_iter()
            .map(|name| Author {
                name,
                affiliations: Vec::new(),
            })
            .collect(),
        abstract_text: random.one_of(&ABSTRACTS).to_owned(),
        comment: Some("12 pages, 3 figures; v2: 100% new & improved".to_owned()),
        journal: reference.map(|(text, _)| text.to_owned()),
        doi: doi.map(|doi| format!("{doi} 10.1000/another")),
        categories: vec!["hep-ex".into(), "math.CO".into()],
        published: is_dated.then(|| {
            format!("{}-{:02}-03T12:00:00Z", submitted[0], submitted[1])
                .parse()
                .unwrap()
        }),
        ..PaperVersion::default()
    };
    (paper, facts)
}

/// Names as arXiv lists them, and the authors that they are.
fn authors(random: &mut Random) -> (Vec<String>, Vec<Value>) {
    let (mut names, mut authors) = (Vec::new(), Vec::new());
    if random.below(3) == 0 {
        let (name, whole) = random.one_of(&WHOLE);
        names.push(name.to_owned());
        authors.push(json!({"literal": whole}));
        if random.below(2) == 0 {
            names.push(":".to_owned());
        }
    }
    for _ in 0..=random.below(4) {
        let (name, [given, particle, family, suffix]) = random.one_of(&PEOPLE);
        // As the list is after it was split at each comma.
        names.extend(name.split(", ").map(str::to_owned));
        authors.push(json!({"given": given, "particle": particle, "family": family, "suffix": suffix}));
    }
    (names, authors)
}

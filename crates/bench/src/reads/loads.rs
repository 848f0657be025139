//! The loads, and what each is compared with.

use std::time::Duration;

/// The database of the SQL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Database {
    /// Queries and results, on the replica.
    Reads,
    /// The sequence, on the primary.
    Sequence,
}

/// The reference of a load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Against {
    /// Nothing: the response needs no work that could be measured separately.
    Nothing,
    /// pgbench with this script, which does the same work.
    Sql(Database, &'static str),
    /// The API server itself, in the earlier load of this name.
    Load(&'static str),
}

/// In which runs a load is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Runs {
    /// In that of results, queries and the sequence.
    Speed,
    /// In that and in the one with papers, to compare.
    Both,
    /// In the one with papers.
    Papers,
}

/// A load.
#[derive(Debug)]
pub struct Load {
    /// Its name.
    pub name: &'static str,
    /// The Lua function `path()`, which returns the next path and query, drawn at random. `rows` is the number of rows in
    /// `results`, `cursors` are those of deep pages; with papers there are the tables `words`, `authors`, `categories`, `dois`
    /// and `ids`.
    pub lua: &'static str,
    /// In which runs it is measured.
    pub runs: Runs,
    /// Whether it is run before rows are settled, as where no operator runs.
    pub unsettled: bool,
    /// Clients, where answers take so long that those of many would be half done at the end.
    pub clients: Option<u32>,
    /// How many times longer than others it lasts.
    pub lengths: u32,
    /// Whether every server with the ten endpoints can answer it.
    pub for_all: bool,
    /// Its reference.
    pub against: Against,
    /// The minimum ratio to the reference.
    pub goal: Option<f64>,
    /// The limit of the 99th percentile of the latency.
    pub p99: Option<Duration>,
}

const DEEP: &str = "function path() return '/results?page=' .. math.random(math.floor(rows / 20), math.floor(rows / 10) - 1) end";
const DEEP_SQL: &str = "\\set start random(:rows / 20, :rows / 10 - 1) * 10\n\
    select author, title, journal from results order by id limit 10 offset :start;\n";
const FIRST_BY_CURSOR: &str = "GET /results?after=, the first";

const LOAD: Load = Load {
    name: "",
    lua: "",
    runs: Runs::Speed,
    unsettled: false,
    clients: None,
    lengths: 1,
    for_all: true,
    against: Against::Nothing,
    goal: None,
    p99: None,
};

const PAPERS: Load = Load {
    runs: Runs::Papers,
    clients: Some(16),
    for_all: false,
    p99: Some(Duration::from_millis(50)),
    ..LOAD
};

/// All of them, in order; those before rows are settled come first.
pub const LOADS: [Load; 15] = [
    Load {
        name: "GET /results, deep pages, not settled",
        lua: DEEP,
        unsettled: true,
        // An answer takes a quarter of a second: with many clients, most would be half done when time is up. These keep the
        // cores busy, too.
        clients: Some(4),
        lengths: 3,
        against: Against::Sql(Database::Reads, DEEP_SQL),
        goal: Some(0.9),
        ..LOAD
    },
    Load {
        name: "GET /results, first ten pages",
        runs: Runs::Both,
        lua: "function path() return '/results?page=' .. math.random(0, 9) end",
        against: Against::Sql(
            Database::Reads,
            "\\set start random(0, 9) * 10\n\
             select author, title, journal from results order by id limit 10 offset :start;\n",
        ),
        goal: Some(0.35),
        p99: Some(Duration::from_millis(10)),
        ..LOAD
    },
    Load {
        name: "GET /results, deep pages by number",
        runs: Runs::Both,
        lua: DEEP,
        against: Against::Sql(Database::Reads, DEEP_SQL),
        goal: Some(0.9),
        ..LOAD
    },
    Load {
        name: FIRST_BY_CURSOR,
        lua: "function path() return '/results?after=' end",
        for_all: false,
        ..LOAD
    },
    Load {
        name: "GET /results?after=…, deep, against it",
        lua: "function path() return '/results?after=' .. cursors[math.random(#cursors)] end",
        for_all: false,
        against: Against::Load(FIRST_BY_CURSOR),
        // At most 1.2 times the cost.
        goal: Some(1.0 / 1.2),
        ..LOAD
    },
    Load {
        name: "GET /queries, 100 rows",
        runs: Runs::Both,
        // One query every ten seconds from 2020 on.
        lua: "function path()\n\
              local from = 1577836800 + 10 * math.random(0, math.floor(rows / 10) - 100)\n\
              return '/queries?start_timestamp=' .. os.date('!%Y-%m-%dT%H:%M:%S', from) .. '&end_timestamp=' .. os.date('!%Y-%m-%dT%H:%M:%S', from + 990)\n\
              end",
        against: Against::Sql(
            Database::Reads,
            "\\set start 1577836800 + 10 * random(0, :rows / 10 - 100)\n\
             select query, timestamp, status, num_results from queries \
             where timestamp between :start and :start + 990 order by timestamp, id limit 1000;\n",
        ),
        goal: Some(0.4),
        ..LOAD
    },
    Load {
        name: "GET /get-sequence",
        lua: "function path() return '/get-sequence' end",
        against: Against::Sql(Database::Sequence, "select nextval('arxiv_sequence');\n"),
        goal: Some(0.5),
        ..LOAD
    },
    Load {
        name: "GET /healthz (no work)",
        lua: "function path() return '/healthz' end",
        for_all: false,
        ..LOAD
    },
    Load {
        name: "GET /papers/ID",
        lua: "function path() return '/papers/' .. ids[math.random(#ids)] end",
        ..PAPERS
    },
    Load {
        name: "GET /papers, all",
        lua: "function path() return '/papers' end",
        ..PAPERS
    },
    Load {
        name: "GET /papers?q=, a thousand papers, by date",
        lua: "function path() return '/papers?q=' .. words[math.random(#words)] end",
        ..PAPERS
    },
    Load {
        name: "GET /papers?q=, the same, by relevance",
        lua: "function path() return '/papers?order=relevance&q=' .. words[math.random(#words)] end",
        ..PAPERS
    },
    Load {
        name: "GET /papers?author=",
        lua: "function path() return '/papers?author=' .. authors[math.random(#authors)] end",
        ..PAPERS
    },
    Load {
        name: "GET /papers?category=",
        lua: "function path() return '/papers?category=' .. categories[math.random(#categories)] end",
        ..PAPERS
    },
    Load {
        name: "GET /papers?doi=",
        lua: "function path() return '/papers?doi=' .. dois[math.random(#dois)] end",
        ..PAPERS
    },
];

//! What clients ask for, and the SQL that answers it.

use std::time::Duration;

/// Which database the SQL is run in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Database {
    /// Queries and results, on the replica.
    Reads,
    /// The sequence, on the primary.
    Sequence,
}

/// Which server is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// One with as many connections to its database as it has clients: no read waits for one, so none is shared.
    Unshared,
    /// One as it is shipped.
    Shipped,
}

/// A load.
#[derive(Debug)]
pub struct Load {
    /// What it is called.
    pub name: &'static str,
    /// The function `path()` in Lua: the next path and query, drawn at random. `rows` is the number of rows in `results`.
    pub lua: &'static str,
    /// Who answers it.
    pub asked: Asked,
    /// pgbench's script of the same work; none where the server has an answer without any.
    pub sql: Option<(Database, &'static str)>,
    /// The least ratio to pgbench that is acceptable; answers that needed no read of their own don't count.
    pub goal: Option<f64>,
    /// The most that 99 of 100 answers may take.
    pub p99: Option<Duration>,
}

/// All of them, in order.
pub const LOADS: [Load; 7] = [
    Load {
        name: "GET /results, first ten pages",
        lua: "function path() return '/results?page=' .. math.random(0, 9) end",
        asked: Asked::Unshared,
        sql: Some((
            Database::Reads,
            "\\set start random(0, 9) * 10\n\
             select author, title, journal from results order by id limit 10 offset :start;\n",
        )),
        goal: Some(0.35),
        p99: Some(Duration::from_millis(10)),
    },
    Load {
        name: "GET /results, deep pages by number",
        lua: "function path() return '/results?page=' .. math.random(math.floor(rows / 20), math.floor(rows / 10) - 1) end",
        asked: Asked::Unshared,
        sql: Some((
            Database::Reads,
            "\\set start random(:rows / 20, :rows / 10 - 1) * 10\n\
             select author, title, journal from results order by id limit 10 offset :start;\n",
        )),
        goal: Some(0.9),
        p99: None,
    },
    Load {
        name: "GET /queries, 100 rows",
        // One query every ten seconds from 2020 on.
        lua: "function path()\n\
              local from = 1577836800 + 10 * math.random(0, math.floor(rows / 10) - 100)\n\
              return '/queries?start_timestamp=' .. os.date('!%Y-%m-%dT%H:%M:%S', from) .. '&end_timestamp=' .. os.date('!%Y-%m-%dT%H:%M:%S', from + 990)\n\
              end",
        asked: Asked::Unshared,
        sql: Some((
            Database::Reads,
            "\\set start 1577836800 + 10 * random(0, :rows / 10 - 100)\n\
             select query, timestamp, status, num_results from queries \
             where timestamp between :start and :start + 990 order by timestamp, id limit 1000;\n",
        )),
        goal: Some(0.25),
        p99: None,
    },
    Load {
        name: "GET /get-sequence",
        lua: "function path() return '/get-sequence' end",
        asked: Asked::Unshared,
        sql: Some((Database::Sequence, "select nextval('arxiv_sequence');\n")),
        goal: Some(0.35),
        p99: None,
    },
    Load {
        name: "GET /results, first ten pages, as shipped",
        lua: "function path() return '/results?page=' .. math.random(0, 9) end",
        asked: Asked::Shipped,
        sql: None,
        goal: None,
        p99: None,
    },
    Load {
        name: "GET /results, one page for everybody",
        lua: "function path() return '/results?page=0' end",
        asked: Asked::Shipped,
        sql: None,
        goal: None,
        p99: None,
    },
    Load {
        name: "GET /healthz (no work)",
        lua: "function path() return '/healthz' end",
        asked: Asked::Shipped,
        sql: None,
        goal: None,
        p99: None,
    },
];

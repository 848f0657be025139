//! What one search costs, where its page is stored and a client waits for it: calls to the API server of Kubernetes, writes to
//! Postgres, and the time of each process.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use sqlx::Row;
use testbed::tools::progress;

use super::{Bench, Settings, drain, stored};
use crate::figures::{Figure, Goal};

/// Clients that wait at once: with so many, the rate is the best or nearly that.
const CLIENTS: u32 = 64;
/// The most reads and Events of a hundred searches: none but what comes by the clock.
const ALMOST_NONE: f64 = 0.1;
/// The name for all processes together.
const ALL: &str = "all of them";
/// The processes that a bare client needs, and all together.
const NEEDED: [&str; 3] = ["kube-apiserver", "etcd", ALL];
/// Calls that there are besides searches: for leader election, access and the like.
const RESOURCES: [&str; 2] = ["arxivqueries", "events"];

pub(super) async fn measure(settings: &Settings) -> Result<Vec<Figure>> {
    progress::print("bench: cost of a search");
    let bench = stored::with_page(settings).await?;
    let (before, searches) = (Counters::read(&bench).await?, drain::finished(&bench).await?);
    stored::search(&bench, CLIENTS, settings.length).await?;
    stored::at_rest(&bench).await?;
    let searches = drain::finished(&bench).await?.saturating_sub(searches);
    ensure!(searches > 0, "no search has ended");
    let costs = Counters::read(&bench)
        .await?
        .since(&before, searches, "a search")
        .into_iter();
    bench.env.stack.stop().await?;
    let mut figures: Vec<_> = costs
        .map(|(name, unit, value)| {
            let goal = goal(&name);
            Figure::new(name, unit, goal).measured(value)
        })
        .collect();
    // The same for a bare client, in a new system as well.
    let bench = stored::with_page(settings).await?;
    let (kubernetes, bodies) = stored::bare_client(&bench).await?;
    let prepared = kubernetes.prepare(&bodies).await?;
    let before = Counters::read(&bench).await?;
    let pairs = kubernetes.pairs(prepared, CLIENTS, settings.length).await?;
    ensure!(pairs.count > 0.0, "the bare client has written nothing");
    for (name, _, value) in Counters::read(&bench)
        .await?
        .of_processes(&before, pairs.count, "a search")
    {
        let is_needed = NEEDED.iter().any(|process| name.ends_with(process));
        let mut figures = figures.iter_mut();
        if let Some(figure) = figures.find(|figure| figure.name == name && is_needed) {
            figure.bound.push(value);
        }
    }
    bench.env.stack.stop().await?;
    Ok(figures)
}

/// Searches need their two writes; reads and Events are for others.
fn goal(name: &str) -> Option<Goal> {
    let is_avoidable = name.contains("GET arxivqueries") || name.contains("POST events");
    is_avoidable.then_some(Goal::AtMost(ALMOST_NONE))
}

/// Everything that is counted, since the start of each process.
pub(super) struct Counters {
    /// Of calls by their verb and resource.
    calls: BTreeMap<String, f64>,
    /// Transactions with writes, and bytes of the log of both.
    transactions: i64,
    log_bytes: i64,
    /// Of both our processes.
    operations: f64,
    processes: Vec<(&'static str, Usage)>,
}

impl Counters {
    pub(super) async fn read(bench: &Bench<'_>) -> Result<Self> {
        let (env, stack) = (&bench.env, &bench.env.stack);
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let calls = calls(&env.kube.request_text(request).await?);
        let mut connection = env.primary().connect("arxiv").await?;
        let sql = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint, \
                   (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";
        let row = sqlx::query(sql).fetch_one(&mut connection).await?;
        let (operator, api_server) = (&stack.operators[0], &stack.api_servers[0]);
        let mut operations = 0.0;
        for (service, program) in [(operator, "operator"), (api_server, "api_server")] {
            let name = format!("arxiv_{program}_database_operation_duration_seconds_count{{outcome=\"ok\"}}");
            operations += env.metric_of(service, &name).await.context("no metrics")?;
        }
        let plane = stack.control_plane();
        Ok(Self {
            calls,
            transactions: row.try_get(0)?,
            log_bytes: row.try_get(1)?,
            operations,
            processes: vec![
                ("kube-apiserver", Usage::of(plane.api_server().pid())?),
                ("etcd", Usage::of(plane.etcd().pid())?),
                (
                    "Postgres, without its replica",
                    Usage::with_children(env.primary().pid())?,
                ),
                (
                    "replica of Postgres",
                    Usage::with_children(stack.databases.replica.child().pid())?,
                ),
                ("operator", Usage::of(operator.child().pid())?),
                ("API server", Usage::of(api_server.child().pid())?),
            ],
        })
    }

    /// What one of so many searches, which are called so, has cost since: the name of each cost, its unit and value.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(super) fn since(
        &self,
        before: &Self,
        searches: usize,
        one: &str,
    ) -> Vec<(String, &'static str, f64)> {
        let searches = searches as f64;
        let mut costs = Vec::new();
        for (call, count) in &self.calls {
            let count = count - before.calls.get(call).unwrap_or(&0.0);
            costs.push((format!("{one}: calls {call}"), "", count / searches));
        }
        let transactions = (self.transactions - before.transactions) as f64;
        let log = (self.log_bytes - before.log_bytes) as f64;
        costs.extend([
            (
                format!("{one}: operations on databases"),
                "",
                (self.operations - before.operations) / searches,
            ),
            (
                format!("{one}: transactions that write"),
                "",
                transactions / searches,
            ),
            (format!("{one}: write-ahead log of Postgres"), "B", log / searches),
        ]);
        costs.extend(self.of_processes(before, searches, one));
        costs
    }

    /// What each process and all of them have used since, of each of so many.
    fn of_processes(&self, before: &Self, count: f64, one: &str) -> Vec<(String, &'static str, f64)> {
        let used = self.processes.iter().zip(&before.processes);
        let used = used.map(|((name, now), (_, before))| (*name, now.since(*before)));
        let mut used: Vec<_> = used.collect();
        let mut all = Usage::default();
        for (_, one) in &used {
            all.add(*one);
        }
        used.push((ALL, all));
        let costs = used.into_iter().flat_map(|(name, used)| {
            [
                (format!("{one}: CPU of {name}"), "ms", used.cpu_ms / count),
                (
                    format!("{one}: context switches of {name}"),
                    "",
                    used.switches / count,
                ),
            ]
        });
        costs.collect()
    }
}

/// Requests that the API server of Kubernetes has answered, by verb and resource. Watches count when they end.
fn calls(metrics: &str) -> BTreeMap<String, f64> {
    let mut calls = BTreeMap::new();
    for line in metrics.lines() {
        let Some((labels, value)) = line
            .strip_prefix("apiserver_request_total{")
            .and_then(|line| line.rsplit_once("} "))
        else {
            continue;
        };
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            rest.split('"').next()
        };
        let (Some(verb), Some(resource)) = (label("verb"), label(",resource")) else {
            continue;
        };
        if RESOURCES.contains(&resource)
            && verb != "WATCH"
            && let Ok(count) = value.parse::<f64>()
        {
            let part = label("subresource").filter(|part| !part.is_empty());
            let part = part.map(|part| format!("/{part}")).unwrap_or_default();
            *calls.entry(format!("{verb} {resource}{part}")).or_default() += count;
        }
    }
    calls
}

/// What a process has used, with all its threads that run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Usage {
    cpu_ms: f64,
    switches: f64,
}

impl Usage {
    fn of(pid: u32) -> Result<Self> {
        let mut switches = 0.0;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let status = fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
            switches += switches_of(&status);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let cpu_ms = cpu_ms(&stat).context("not the format of proc(5)")?;
        Ok(Self { cpu_ms, switches })
    }

    fn with_children(pid: u32) -> Result<Self> {
        let mut all = Self::of(pid)?;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            // One that ends meanwhile was idle.
            all.add(Self::of(child).unwrap_or_default());
        }
        Ok(all)
    }

    fn since(self, before: Self) -> Self {
        Self {
            cpu_ms: self.cpu_ms - before.cpu_ms,
            switches: self.switches - before.switches,
        }
    }

    fn add(&mut self, other: Self) {
        self.cpu_ms += other.cpu_ms;
        self.switches += other.switches;
    }
}

/// Both kinds of context switches in `/proc/PID/task/TID/status`.
fn switches_of(status: &str) -> f64 {
    let lines = status
        .lines()
        .filter_map(|line| line.split_once("ctxt_switches:"));
    lines
        .filter_map(|(_, count)| count.trim().parse::<f64>().ok())
        .sum()
}

/// User and system time in `/proc/PID/stat`, in the hundredths of a second that Linux counts on every platform of ours.
fn cpu_ms(stat: &str) -> Option<f64> {
    // The name of the program, in parentheses, may have spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    let ticks = ticks.collect::<Result<Vec<_>, _>>().ok()?;
    (ticks.len() == 2).then(|| ticks.iter().sum::<f64>() * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_verb_and_resource_without_watches_and_other_resources() {
        let line = |verb: &str, resource: &str, subresource: &str, code: u16, count: u32| {
            format!(
                "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"\",group=\"g\",resource=\"{resource}\",\
                 scope=\"resource\",subresource=\"{subresource}\",verb=\"{verb}\",version=\"v1\"}} {count}\n"
            )
        };
        let metrics = [
            line("POST", "arxivqueries", "", 201, 7),
            line("POST", "arxivqueries", "", 409, 1),
            line("APPLY", "arxivqueries", "status", 200, 7),
            line("WATCH", "arxivqueries", "", 200, 3),
            line("POST", "events", "", 201, 2),
            line("PUT", "leases", "", 200, 9),
            "apiserver_request_total_other{verb=\"POST\",resource=\"events\"} 1\n".to_owned(),
        ];
        let expected = [
            ("APPLY arxivqueries/status", 7.0),
            ("POST arxivqueries", 8.0),
            ("POST events", 2.0),
        ];
        assert_eq!(
            calls(&metrics.concat()),
            expected.map(|(call, count)| (call.to_owned(), count)).into()
        );
    }

    #[test]
    fn usage_is_read_from_the_formats_of_linux() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(cpu_ms(stat), Some(3000.0));
        assert_eq!(cpu_ms("42 (a) S 1"), None);
        let status = "Name:\ta\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t2\n";
        assert!((switches_of(status) - 7.0).abs() < f64::EPSILON);
        let own = Usage::of(std::process::id()).unwrap();
        assert!(own.switches > 0.0);
    }
}

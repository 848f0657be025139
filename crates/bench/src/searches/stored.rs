//! `GET /arxiv` for a search whose page is stored: what a search costs besides the request to arXiv.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use crd::{ArxivQuery, ArxivQuerySpec, ArxivSearch, Phase};
use kube::api::ListParams;
use testbed::tools::progress;
use testbed::wait;

use super::kubernetes::{Bodies, Kubernetes};
use super::{Bench, CLIENTS, Settings, start};
use crate::figures::{Figure, Goal, median};
use crate::wrk::{self, Measured};

const SEARCH: &str = "/arxiv?title=stored&max_results=8";
/// The numbers of clients at which waiting times are measured.
const MANY_CLIENTS: [u32; 2] = [256, 768];
/// The longest answer of the slowest client in a hundred, in answers of the median one.
const MOST_UNFAIR: f64 = 3.0;
const LIMIT: Duration = Duration::from_mins(5);

/// A new system for each load: a request costs Kubernetes' API server a tenth more for each 25,000 objects that it has in memory, so
/// the load that comes last would be the slowest.
pub(super) async fn measure(settings: &Settings) -> Result<Vec<Figure>> {
    let length = settings.length;
    progress::print("bench: GET /arxiv, page stored");
    let mut figures = Vec::new();
    for clients in CLIENTS {
        let bench = with_page(settings).await?;
        let (kubernetes, bodies) = bare_client(&bench).await?;
        let prepared = kubernetes.prepare(&bodies).await?;
        let pairs = kubernetes.pairs(prepared, clients, length).await?.rate;
        bench.env.stack.stop().await?;
        let bench = with_page(settings).await?;
        let searches = search(&bench, clients, length).await?.rate;
        bench.env.stack.stop().await?;
        progress::print(&format!(
            "bench: {clients} clients: {searches:.0} of {pairs:.0} a second"
        ));
        let mut rate = Figure::new(rate_of(clients), "/s", None).measured(searches);
        rate.bound.push(pairs);
        figures.push(rate);
    }
    for clients in MANY_CLIENTS {
        progress::print(&format!("bench: GET /arxiv, page stored, {clients} clients"));
        let bench = with_page(settings).await?;
        // An answer takes a second or more.
        let measured = search(&bench, clients, length * 2).await?;
        bench.env.stack.stop().await?;
        let (median, p99) = (measured.median.as_secs_f64(), measured.p99.as_secs_f64());
        let figure = |what: &str, unit, goal| {
            let name = format!("GET /arxiv, {clients} clients, {what}");
            Figure::new(name, unit, goal)
        };
        let most_unfair = Some(Goal::AtMost(MOST_UNFAIR));
        figures.extend([
            figure("rate", "/s", None).measured(measured.rate),
            figure("median", "ms", None).measured(median * 1e3),
            figure("99th percentile", "ms", None).measured(p99 * 1e3),
            figure("99th percentile / median", "", most_unfair).measured(p99 / median),
        ]);
    }
    Ok(figures)
}

fn rate_of(clients: u32) -> String {
    format!("GET /arxiv, page stored, {clients} clients")
}

/// The rate and its bound, each at the number of clients with the greatest median of all rounds. The greatest of a round would be
/// the luck of a moment.
pub(super) fn at_best(figures: &[Figure]) -> Figure {
    let of_clients = CLIENTS.map(|clients| {
        let mut figures = figures.iter();
        figures.find(|figure| figure.name == rate_of(clients))
    });
    let best = |values: fn(&Figure) -> &[f64]| {
        let values = of_clients.iter().flatten().map(|figure| values(figure));
        values
            .max_by(|one, other| one_median(one).total_cmp(&one_median(other)))
            .unwrap_or_default()
            .to_vec()
    };
    let mut rate = Figure::new("GET /arxiv, page stored", "/s", Some(Goal::Ratio(0.75)));
    rate.measured = best(|figure| &figure.measured);
    rate.bound = best(|figure| &figure.bound);
    rate
}

fn one_median(values: &[f64]) -> f64 {
    median(values).unwrap_or_default()
}

/// The same search as an object.
pub(crate) fn spec() -> ArxivQuerySpec {
    ArxivQuerySpec {
        search: ArxivSearch {
            title: Some("stored".to_owned()),
            ..ArxivSearch::default()
        },
        max_results: 8,
        ..ArxivQuerySpec::default()
    }
}

/// A system in which the page of the searches is stored, and nothing else happens.
pub(super) async fn with_page(settings: &Settings) -> Result<Bench<'_>> {
    let bench = start(settings, Duration::ZERO, false).await?;
    // The first search stores its page.
    search(&bench, 2, Duration::from_secs(2)).await?;
    at_rest(&bench).await?;
    Ok(bench)
}

/// A bare client, and what it sends for each search: the same as for one that has succeeded.
pub(super) async fn bare_client(bench: &Bench<'_>) -> Result<(Kubernetes, Bodies)> {
    let kubernetes = bench.kubernetes().await?;
    let finished = finished(bench).await?;
    let finished = finished.first().context("no search has succeeded")?;
    let bodies = Bodies::of(finished, kubernetes.namespace())?;
    Ok((kubernetes, bodies))
}

pub(crate) async fn search(bench: &Bench<'_>, connections: u32, length: Duration) -> Result<Measured> {
    // Requests of many clients: one would have its half of each limit only.
    let script = format!(
        "local n = 0
function request()
  n = n + 1
  return wrk.format('GET', '{SEARCH}', {{['X-Forwarded-For'] = '10.0.' .. thread .. '.' .. n % 64}})
end
"
    );
    let server = bench.env.stack.api_url()?;
    let run = wrk::Run {
        server: &server,
        script: &script,
        connections,
        length,
    };
    let measured = wrk::run(&run, &bench.script()).await?;
    ensure!(
        measured.failed == 0,
        "{} searches of {} failed with {connections} clients",
        measured.failed,
        measured.responses
    );
    Ok(measured)
}

/// A single search; its answer has come when this returns.
pub(crate) async fn search_once(bench: &Bench<'_>) -> Result<()> {
    bench.env.get(SEARCH).await.error_for_status()?;
    Ok(())
}

/// Objects that searches have left, some of them.
pub(crate) async fn finished(bench: &Bench<'_>) -> Result<Vec<ArxivQuery>> {
    let mut list = bench.env.queries.list(&ListParams::default().limit(50)).await?;
    list.items.retain(|object| object.phase() == Phase::Succeeded);
    Ok(list.items)
}

/// Waits for the end of searches whose clients have left. The API server counts them: Kubernetes would have to look at all objects
/// for each answer, and takes gigabytes for that where there are a hundred thousand.
pub(crate) async fn at_rest(bench: &Bench<'_>) -> Result<()> {
    let (env, api_server) = (&bench.env, &bench.env.stack.api_servers[0]);
    wait::until("no unfinished query", LIMIT, async || {
        let unfinished = env
            .metric_of(api_server, "arxiv_api_server_unfinished_queries")
            .await;
        Ok((unfinished == Some(0.0)).then_some(()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_bound_are_each_those_of_the_number_of_clients_with_the_greatest_median() {
        let figures = [
            (16, [200.0, 210.0, 230.0], [400.0, 300.0, 410.0]),
            (32, [250.0, 900.0, 240.0], [900.0, 310.0, 320.0]),
            (64, [290.0, 300.0, 280.0], [350.0, 360.0, 370.0]),
        ];
        let figures = figures.map(|(clients, measured, bound)| Figure {
            measured: measured.to_vec(),
            bound: bound.to_vec(),
            ..Figure::new(rate_of(clients), "/s", None)
        });
        let best = at_best(&figures);
        assert_eq!(best.measured, [290.0, 300.0, 280.0]);
        assert_eq!(best.bound, [400.0, 300.0, 410.0]);
    }
}

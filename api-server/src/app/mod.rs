//! The parts that the served endpoints need, and no others.

pub(crate) mod metrics;
pub(crate) mod readiness;
pub(crate) mod settings;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use crd::ArxivQuery;
use kube::{Api, Client, Config};
use service::{metrics::Metrics, settings::DatabaseUrl};
use storage::{Access, Pages, PgPool, PoolSettings, Reads, Sequence, Writes, pool, schema::Need};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    app::metrics::{Counts, register_answers, register_lags, register_pools},
    app::settings::{Databases, Settings, Tables},
    jobs::backlog::{Backlog, Quotas},
    jobs::client::Objects,
    jobs::orphans::OrphanQueue,
    jobs::submit::QuerySubmitter,
    jobs::waiters::Waiters,
    jobs::watch::{DecodedObject, Subscribers},
    limits::request_body::BodyRoom,
    limits::response_memory::{AnswerRoom, PAPERS, ROWS},
    limits::streams::Streams,
    output::lag::Lag,
    routes::arxiv::Arxiv,
    routes::arxiv::list::Lists,
    routes::arxiv::new_query::Limits,
    routes::arxiv::query::ObjectStates,
    routes::arxiv_api::Fetches,
    routes::endpoints::{Endpoint, Served},
    routes::queries::QueryLog,
    routes::results::{PageDefaults, ResultPages},
    routes::writes::Recording,
};

/// How this process is listed by the databases.
const APPLICATION_NAME: &str = "arxiv-api-server";
/// How long an operation waits for a connection; a client is better off with a 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Clients of /arxiv that wait at once. Below the limit of connections, so that others are served beside them.
pub(crate) const MAX_WAITERS: usize = 768;
/// Silence on a connection to Kubernetes; a watch is renewed every minute.
const KUBERNETES_READ_TIMEOUT: Duration = Duration::from_secs(75);
const KUBERNETES_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// All parts; what is not needed is not there.
#[derive(Default)]
pub(crate) struct App {
    pub(crate) arxiv: Option<Arxiv>,
    pub(crate) states: Option<Arc<ObjectStates>>,
    pub(crate) query_log: Option<QueryLog>,
    pub(crate) result_pages: Option<ResultPages>,
    pub(crate) recording: Option<Recording>,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) fetches: Option<Arc<Fetches>>,
    /// What must be there for this process to be ready.
    pub(crate) checks: Vec<DatabaseCheck>,
    pub(crate) cluster: Option<Cluster>,
    /// What asks Kubernetes who calls, where it is asked.
    pub(crate) reviewer: Option<Client>,
}

/// One thing to ask a database for.
pub(crate) struct DatabaseCheck {
    /// The name in /readyz.
    pub(crate) name: &'static str,
    pub(crate) pool: PgPool,
    pub(crate) need: Need,
    /// A replica that all processes share: its absence is told, but takes none of them out of service.
    pub(crate) shared_replica: bool,
    /// How far such a replica was behind when it was looked at.
    pub(crate) lag: Lag,
}

/// The tasks beside the requests need these.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) api: Api<ArxivQuery>,
    /// The same objects, read so that no broken one stops the watch.
    pub(crate) decoded: Api<DecodedObject>,
    pub(crate) subscribers: Subscribers,
    pub(crate) orphans: mpsc::Receiver<String>,
}

impl App {
    /// Connects to nothing yet: whatever is down at the start is waited for.
    pub(crate) async fn build(
        settings: &Settings,
        databases: &Databases,
        metrics: &Metrics,
        counts: &Counts,
        ending: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let mut app = Self::default();
        let mut pools = Pools {
            settings,
            made: Vec::new(),
        };
        let reads = databases
            .ro
            .as_ref()
            .map(|tables| app.reads(&mut pools, tables))
            .transpose()?;
        let defaults = PageDefaults {
            page: settings.results_default_page,
            items_per_page: settings.results_default_items_per_page,
        };
        let room = BodyRoom::new();
        let (answers, papers) = (AnswerRoom::new(ROWS), AnswerRoom::new(PAPERS));
        register_answers(metrics, [answers.clone(), papers.clone()]);
        if let Some(reads) = &reads {
            app.query_log = Some(QueryLog {
                reads: reads.clone(),
                zone: settings.timezone_offset,
                room: room.clone(),
                lag: app.lag_of("queries_ro"),
                answers: answers.clone(),
            });
            app.result_pages = Some(ResultPages {
                reads: reads.clone(),
                defaults,
                zone: settings.timezone_offset,
                lag: app.lag_of("results_ro"),
                answers: answers.clone(),
            });
        }
        if let Some(tables) = &databases.rw {
            app.recording = Some(Recording::new(
                app.writes(&mut pools, tables, &settings.serve)?,
                room.clone(),
            ));
        }
        if let Some(url) = &databases.sequence {
            let pool = pools.make("sequence", url, Access::ReadWrite)?;
            app.check("sequence", &pool, Need::Sequence, false);
            app.sequence = Some(Sequence::new(pool));
        }
        if let Some(url) = &databases.upstream {
            app.fetches = Some(Arc::new(app.fetches(&mut pools, url, papers)?));
        }
        let serves_arxiv = settings.serve.any(&[Endpoint::Arxiv]);
        if serves_arxiv || settings.asks_for_tokens() {
            let purpose = if serves_arxiv { "/arxiv" } else { "ACCESS" };
            let (client, namespace) = kubernetes(settings, purpose).await?;
            if serves_arxiv {
                app.connect_kubernetes(
                    settings,
                    counts,
                    ending,
                    (reads, defaults),
                    (room, answers),
                    (client.clone(), &namespace),
                );
            }
            app.reviewer = settings.asks_for_tokens().then_some(client);
        }
        register_pools(metrics, pools.made);
        let replicas = app.checks.iter().filter(|check| check.shared_replica);
        register_lags(
            metrics,
            replicas.map(|check| (check.name, check.lag.clone())).collect(),
        );
        Ok(app)
    }

    fn check(&mut self, name: &'static str, pool: &PgPool, need: Need, shared_replica: bool) {
        self.checks.push(DatabaseCheck {
            name,
            pool: pool.clone(),
            need,
            shared_replica,
            lag: Lag::default(),
        });
    }

    /// Where it is noted how far the replica of this check is behind.
    fn lag_of(&self, name: &str) -> Lag {
        let check = self.checks.iter().find(|check| check.name == name);
        check.map(|check| check.lag.clone()).unwrap_or_default()
    }

    fn reads(&mut self, pools: &mut Pools<'_>, tables: &Tables) -> anyhow::Result<Reads> {
        let (queries, results) = pools.pair("ro", tables, Access::ReadOnly)?;
        self.check("queries_ro", &queries, Need::QueriesRead, true);
        self.check("results_ro", &results, Need::ResultsRead, true);
        let settle = Duration::from_secs(pools.settings.read_settle_seconds);
        // In one database a record appears as a whole; in two, one half of it may come before the other.
        let settle = (!tables.queries.same_database(&tables.results)).then_some(settle);
        Ok(Reads::new(queries, results, settle))
    }

    fn writes(&mut self, pools: &mut Pools<'_>, tables: &Tables, served: &Served) -> anyhow::Result<Writes> {
        let (queries, results) = pools.pair("rw", tables, Access::ReadWrite)?;
        if served.any(&[Endpoint::WriteQueries]) {
            self.check("queries_rw", &queries, Need::QueriesWrite, false);
        }
        if served.any(&[Endpoint::WriteResults]) {
            self.check("results_rw", &results, Need::ResultsWrite, false);
        }
        Ok(Writes::new(queries, results))
    }

    fn fetches(
        &mut self,
        pools: &mut Pools<'_>,
        url: &DatabaseUrl,
        room: AnswerRoom,
    ) -> anyhow::Result<Fetches> {
        let settings = pools.settings;
        let pool = pools.make("upstream", url, Access::ReadWrite)?;
        self.check("upstream", &pool, Need::Upstream, false);
        let pages = Pages::new(pool);
        Ok(Fetches {
            upstream: settings
                .arxiv
                .upstream(url.as_str(), APPLICATION_NAME, pages.clone())?,
            pages,
            patience: settings.upstream_patience(),
            default_max_results: settings.default_max_query_results,
            room,
        })
    }

    fn connect_kubernetes(
        &mut self,
        settings: &Settings,
        counts: &Counts,
        ending: &CancellationToken,
        (reads, defaults): (Option<Reads>, PageDefaults),
        (room, answers): (BodyRoom, AnswerRoom),
        (client, namespace): (Client, &str),
    ) {
        let api = Api::namespaced(client.clone(), namespace);
        let waiters = Waiters::new(MAX_WAITERS, counts.waiters.clone());
        let (orphan_queue, orphans) = OrphanQueue::new();
        let objects = Arc::new(Objects::new(
            api.clone(),
            counts.kubernetes_in_flight.clone(),
            orphan_queue,
        ));
        let quotas = Quotas {
            total: count(settings.arxiv_max_pending),
            per_client: count(settings.arxiv_max_pending_per_client),
        };
        let backlog = Backlog::new(
            quotas,
            Duration::from_millis(settings.arxiv.min_interval_ms),
            counts.unfinished.clone(),
        );
        let streams = Streams::new(counts.streams.clone(), ending.clone());
        self.states = Some(Arc::new(ObjectStates {
            objects: Arc::clone(&objects),
            waiters: Arc::clone(&waiters),
            backlog: Arc::clone(&backlog),
            streams: streams.clone(),
            reads,
            lag: self.lag_of("queries_ro"),
            results_lag: self.lag_of("results_ro"),
            namespace: namespace.to_owned(),
            defaults,
            answers: answers.clone(),
        }));
        let searches = QuerySubmitter {
            objects: Arc::clone(&objects),
            waiters: Arc::clone(&waiters),
            backlog: Arc::clone(&backlog),
            wait: settings.arxiv_wait(),
            ttl_seconds: settings.arxiv_ttl_seconds,
            fail_fast: settings.arxiv_fail_fast,
            limits: Limits {
                default_max_results: settings.default_max_query_results,
                max_priority: settings.arxiv_max_priority,
            },
            root: settings.root_path.clone(),
            ending: ending.clone(),
        };
        self.arxiv = Some(Arxiv {
            searches: Arc::new(searches),
            lists: Arc::new(Lists::new(objects, Arc::clone(&backlog), streams, answers)),
            room,
        });
        self.cluster = Some(Cluster {
            decoded: Api::namespaced(client.clone(), namespace),
            client,
            api,
            subscribers: Subscribers { waiters, backlog },
            orphans,
        });
    }
}

fn count(setting: u32) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

/// A client of Kubernetes, and the namespace of the objects. `purpose` is what needs it.
async fn kubernetes(settings: &Settings, purpose: &str) -> anyhow::Result<(Client, String)> {
    let mut config = Config::infer().await.with_context(|| {
        format!("{purpose} needs Kubernetes: set KUBECONFIG, or run in a pod with a service account's token")
    })?;
    config.connect_timeout = Some(KUBERNETES_CONNECT_TIMEOUT);
    config.read_timeout = Some(KUBERNETES_READ_TIMEOUT);
    // A refused request is told to the caller, and a lost create is asked for again under its own name.
    config.default_retry = false;
    let namespace = settings
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).context("the Kubernetes configuration cannot be used")?;
    Ok((client, namespace))
}

/// Makes pools that connect when first used.
struct Pools<'a> {
    settings: &'a Settings,
    made: Vec<(&'static str, PgPool)>,
}

impl Pools<'_> {
    fn make(&mut self, name: &'static str, url: &DatabaseUrl, access: Access) -> anyhow::Result<PgPool> {
        let pool = pool(
            url.as_str(),
            &PoolSettings {
                access,
                max_connections: self.settings.database_max_connections,
                acquire_timeout: ACQUIRE_TIMEOUT,
                statement_cache: self.settings.statement_cache,
                application_name: APPLICATION_NAME.to_owned(),
            },
        )
        .with_context(|| format!("the address of the {name} database"))?;
        self.made.push((name, pool.clone()));
        Ok(pool)
    }

    /// One pool for both tables where they are in one place.
    fn pair(
        &mut self,
        name: &'static str,
        tables: &Tables,
        access: Access,
    ) -> anyhow::Result<(PgPool, PgPool)> {
        let queries = self.make(name, &tables.queries, access)?;
        if tables.queries == tables.results {
            return Ok((queries.clone(), queries));
        }
        let results = self.make(
            if name == "ro" { "results_ro" } else { "results_rw" },
            &tables.results,
            access,
        )?;
        Ok((queries, results))
    }
}

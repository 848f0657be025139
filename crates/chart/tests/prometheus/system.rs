//! The system with its Prometheus. The rules are those of the chart, shortened.

use std::time::Duration;

use chart::render;
use testbed::TestEnv;
use testbed::net::Port;
use testbed::stack::Options;
use testbed::stack::prometheus::Prometheus;
use testbed::test_env::within;

use crate::runbook::Runbook;
use crate::shorter::shortened;

/// On a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_mins(3);
const INTERVAL: Duration = Duration::from_secs(1);
/// The release's full name.
const FULLNAME: &str = "papers-arxiv-operator";

/// Times as in production, except for what takes the programs longer than a sixtieth of it: a restart, and that another
/// operator leads. Thresholds that are times are shortened like the times of the rules, the lag less: a busy machine
/// replicates slowly.
const VALUES: &str = "
monitoring:
  prometheusRule:
    enabled: true
    alerts:
      ArxivOperatorAbsent: {for: 15m}
      ArxivApiServerAbsent: {for: 15m}
      ArxivNoLeader: {for: 8m}
      ArxivOperatorErrors: {threshold: 6}
      ArxivQueriesWaitLong: {threshold: 60}
      ArxivReplicaLag: {threshold: 4}
      ArxivWebhooksFail: {threshold: 5}
";

pub(crate) struct Monitored {
    pub(crate) env: TestEnv,
    pub(crate) prometheus: Prometheus,
    /// Where the API server has its metrics.
    pub(crate) metrics_port: Port,
}

impl Monitored {
    /// Starts all of it and waits until nothing fires.
    pub(crate) async fn start() -> Self {
        let metrics_port = Port::reserve().unwrap();
        let address = format!("127.0.0.1:{}", metrics_port.number());
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let env = TestEnv::start(Options {
            operators: 2,
            environment: vec![
                set("METRICS_LISTEN", &address),
                // What arXiv asks for lasts longer.
                set("COOLDOWN_BASE_MS", "1"),
                set("RETRY_BASE_MS", "1000"),
                set("WEBHOOK_NETWORKS", "127.0.0.0/8"),
            ],
            ..Options::default()
        })
        .await;
        let rules = shortened(render(VALUES).unwrap().only("PrometheusRule").unwrap()["spec"].clone());
        let targets = env.stack.targets(FULLNAME, Some(metrics_port.number()));
        let prometheus = Prometheus::start(chart::NAMESPACE, &targets, &rules, INTERVAL);
        let prometheus = prometheus.await.unwrap();
        let monitored = Self {
            env,
            prometheus,
            metrics_port,
        };
        monitored
            .until("all targets are scraped", async || {
                monitored.count("up == 1").await == 3
            })
            .await;
        monitored
            .until("one operator leads", async || {
                monitored.count("arxiv_operator_leader == 1").await == 1
            })
            .await;
        monitored
    }

    /// The number of series that an expression has now.
    pub(crate) async fn count(&self, expression: &str) -> usize {
        self.prometheus.query(expression).await.unwrap().len()
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let found = within(LIMIT, async || holds().await.then_some(())).await;
        assert!(
            found.is_some(),
            "{what}: not within {LIMIT:?}; firing: {:?}\n{}",
            self.prometheus.firing(),
            self.env.operator_logs()
        );
    }

    /// Causes a fault, waits until this alert and no other fires, follows its runbook, and waits until it has ended. `end`
    /// removes what no runbook removes.
    pub(crate) async fn expect(&self, alert: &str, end: impl AsyncFnOnce()) {
        let firing = async || self.prometheus.firing() == [alert];
        self.until(&format!("{alert} fires"), firing).await;
        let runbook = Runbook::read(alert, self);
        runbook.look().await;
        end().await;
        runbook.fix().await;
        let firing = "ALERTS{alertstate=\"firing\"}";
        self.until(&format!("{alert} ends"), async || {
            self.prometheus.firing().is_empty() && self.count(firing).await == 0
        })
        .await;
        assert_eq!(self.prometheus.received(), [alert], "and no other");
    }
}

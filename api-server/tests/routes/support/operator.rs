//! In place of the operator: ends queries as a test wants, with their rows in the databases and without arXiv.

use std::sync::Arc;

use crd::{ArxivQuery, ArxivQueryStatus, ConditionType, Phase, Reason};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use paper::{Author, PaperId, PaperVersion};
use storage::{FailureRecord, Ledger, ObjectRef, PaperBatch, PaperSource, Record, Records, StorageError};
use tokio::sync::watch;

use super::{
    Databases, NAMESPACE,
    kubernetes::{Kubernetes, now},
};

/// arXiv's total for every search.
const TOTAL: i32 = 1234;
/// arXiv's time for every search.
pub(crate) const TIMESTAMP: i64 = 1_711_850_400;

/// How queries end.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// They do not.
    None,
    /// With as many papers as they ask for.
    Found,
    /// With no paper.
    NothingFound,
    /// With this reason and status of arXiv.
    Failed(Reason, Option<i32>),
}

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Operator {
    outcome: watch::Sender<Outcome>,
    kubernetes: Kubernetes,
    ledger: Ledger,
    records: Records,
}

impl Operator {
    pub(crate) fn new(kubernetes: &Kubernetes, databases: &Databases) -> Self {
        let queries = databases.pool("arxiv_rw", "arxiv");
        Self {
            outcome: watch::Sender::new(Outcome::Found),
            kubernetes: kubernetes.clone(),
            ledger: Ledger::new(databases.pool("arxiv_operator", "arxiv_sequence")),
            records: Records::new(queries.clone(), queries, false),
        }
    }

    /// How queries end from now on, also those that wait.
    pub(crate) fn set(&self, outcome: Outcome) {
        self.outcome.send_replace(outcome);
    }

    /// Makes the rows of `results` that there are visible to cursors.
    pub(crate) async fn settle(&self) {
        self.records.advance_watermark().await.unwrap();
    }

    /// Ends all queries. Never returns.
    pub(crate) async fn run(self) {
        let (mut outcome, mut changes) = (self.outcome.subscribe(), self.kubernetes.changes());
        loop {
            let wanted = *outcome.borrow_and_update();
            changes.borrow_and_update();
            let objects = self.kubernetes.objects().into_iter();
            for object in objects.filter(|object| !object.phase().is_final()) {
                self.end(&object, wanted).await;
            }
            tokio::select! {
                _ = outcome.changed() => {}
                _ = changes.changed() => {}
            }
        }
    }

    async fn end(&self, object: &ArxivQuery, outcome: Outcome) {
        let (found, papers) = match outcome {
            Outcome::None => return,
            Outcome::Found => (TOTAL, usize::try_from(object.spec.max_results).unwrap()),
            Outcome::NothingFound => (0, 0),
            Outcome::Failed(reason, http_status) => return self.fail(object, reason, http_status).await,
        };
        let reference = reference(object);
        let query_id = self.ledger.assign(reference.uid).await.unwrap();
        let title = object.spec.search.title.as_deref().unwrap_or_default();
        let query = format!("search_query=ti:{title}&id_list=&start=0&max_results={papers}");
        let record = Record {
            object: reference,
            query_id,
            timestamp: TIMESTAMP,
            status: 200,
            num_results: found,
            query: &query,
            papers: &Papers(papers),
            feed: None,
        };
        assert!(self.records.record(&record).await.unwrap().is_ok());
        self.finish(object, Phase::Succeeded, Reason::Succeeded, |status| {
            status.query_id = Some(query_id);
            status.answer_time = Timestamp::from_second(TIMESTAMP).ok().map(Time);
            status.http_status = Some(200);
            status.total_results = Some(found.into());
            status.stored_results = i64::try_from(papers).ok();
            status.query = Some(query);
            status.message = Some(format!("found {found}, stored {papers}"));
        });
    }

    async fn fail(&self, object: &ArxivQuery, reason: Reason, http_status: Option<i32>) {
        let message = format!("arXiv: {}", reason.as_str());
        let failure = FailureRecord {
            reason: reason.as_str().into(),
            message: message.clone(),
            http_status: http_status.and_then(|status| status.try_into().ok()),
        };
        let reference = reference(object);
        let written = self.records.write_tombstone(&reference, &failure).await;
        written.unwrap();
        self.finish(object, Phase::Failed, reason, |status| {
            status.http_status = http_status;
            status.message = Some(message);
        });
    }

    fn finish(
        &self,
        object: &ArxivQuery,
        phase: Phase,
        reason: Reason,
        update: impl FnOnce(&mut ArxivQueryStatus),
    ) {
        let name = object.metadata.name.as_deref().unwrap();
        self.kubernetes.update_status(name, |status| {
            status.phase = phase;
            status.attempts = Some(1);
            status.start_time = Some(now());
            status.completion_time = Some(now());
            status.conditions = vec![Condition {
                type_: ConditionType::Ready.as_str().into(),
                status: if phase == Phase::Succeeded {
                    "True"
                } else {
                    "False"
                }
                .into(),
                reason: reason.as_str().into(),
                message: String::new(),
                last_transition_time: now(),
                observed_generation: None,
            }];
            update(status);
        });
    }
}

fn reference(object: &ArxivQuery) -> ObjectRef<'_> {
    ObjectRef {
        uid: object.metadata.uid.as_deref().unwrap().parse().unwrap(),
        namespace: NAMESPACE,
        name: object.metadata.name.as_deref().unwrap(),
        search: "hash",
    }
}

/// So many papers.
struct Papers(usize);

impl PaperSource for Papers {
    fn batch_count(&self) -> usize {
        self.0.div_ceil(100)
    }

    fn batches(&self) -> BoxStream<'_, Result<PaperBatch, StorageError>> {
        let paper = |n| PaperVersion {
            id: PaperId::of_entry(&format!("2405.{n:05}v1")),
            title: format!("Title {n}"),
            authors: vec![Author {
                name: format!("Author 0-{n} Erdős"),
                ..Author::default()
            }],
            categories: vec!["math.CO".into()],
            ..PaperVersion::default()
        };
        let all: Arc<[usize]> = (0..self.0).collect();
        let batch = |numbers: &[usize]| PaperBatch {
            papers: numbers.iter().copied().map(paper).collect::<Vec<_>>().into(),
            fetched_at: Timestamp::UNIX_EPOCH,
        };
        let batches: Vec<PaperBatch> = all.chunks(100).map(batch).collect();
        stream::iter(batches.into_iter().map(Ok)).boxed()
    }
}

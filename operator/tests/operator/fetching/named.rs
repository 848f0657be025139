//! Searches that name their papers.

use crd::{ArxivQuerySpec, ArxivSearch, Phase};
use testbed::TestEnv;
use testbed::arxiv::Mode;
use testbed::stack::Options;

fn named(ids: &[&str]) -> ArxivQuerySpec {
    ArxivQuerySpec {
        search: ArxivSearch {
            id_list: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
            ..ArxivSearch::default()
        },
        ..ArxivQuerySpec::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn named_papers_are_recorded_in_each_version_that_is_named_and_unknown_ones_are_no_failure() {
    let env = TestEnv::start(Options::operator_only()).await;
    let arxiv = env.stack.arxiv().unwrap();
    let ids = [
        "1706.03762v7",
        "arXiv:1706.03762v1 [cs.CL]",
        "https://arxiv.org/abs/math.GT/0309136",
        "https://arxiv.org/pdf/1706.03762v7.pdf",
    ];
    env.create("versions", named(&ids)).await;
    let status = env.finished("versions").await;
    assert_eq!(
        (status.phase, status.total_results, status.stored_results),
        (Phase::Succeeded, Some(3), Some(3))
    );
    assert_eq!(
        arxiv.requests()[0].id_list,
        "1706.03762v7,1706.03762v1,math/0309136"
    );
    let stored = "select string_agg(arxiv_id, ' ' order by result_number) from results";
    let stored = env.primary().psql("arxiv", stored).await.unwrap();
    assert!(
        stored.contains("1706.03762v7 1706.03762v1 math/0309136v1"),
        "{stored}"
    );

    arxiv.set(Mode::UnknownId);
    arxiv.clear_record();
    env.create("unknown", named(&["2401.99999"])).await;
    let status = env.finished("unknown").await;
    assert_eq!((status.phase, status.stored_results), (Phase::Succeeded, Some(0)));
    assert_eq!((status.attempts, arxiv.requests().len()), (Some(0), 2));
}
